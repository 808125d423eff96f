// What outlives a reload. The key and the conversation stay in this tab and end with it; settings stay in the browser.

const KEY = "gptoss.key";
const CONVERSATION = "gptoss.conversation";
const SETTINGS = "gptoss.settings";

const defaults = {
  level: "medium",
  system: "",
  temperature: "",
  top_p: "",
  max_tokens: "",
  seed: "",
  format: "text",
  schema: "",
  tools: "",
  toolChoice: "auto",
};

// Storage may be blocked or full. The page then works on without it.
function attempt(action) {
  try {
    return action();
  } catch {
    return null;
  }
}

export const key = {
  get: () => attempt(() => sessionStorage.getItem(KEY)) || "",
  set: (value) => attempt(() => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY))),
};

export const settings = { ...defaults };
const saved = attempt(() => JSON.parse(localStorage.getItem(SETTINGS)));
for (const name of Object.keys(defaults)) {
  if (typeof saved?.[name] === "string") settings[name] = saved[name];
}

export function saveSettings() {
  attempt(() => localStorage.setItem(SETTINGS, JSON.stringify(settings)));
}

export function saveConversation(turns) {
  attempt(() => sessionStorage.setItem(CONVERSATION, JSON.stringify(turns)));
}

export function loadConversation() {
  const turns = attempt(() => JSON.parse(sessionStorage.getItem(CONVERSATION)));
  return Array.isArray(turns) && turns.every((t) => t && typeof t.content === "string") ? turns : [];
}

export function saveTheme(theme) {
  attempt(() => (theme ? localStorage.setItem("gptoss.theme", theme) : localStorage.removeItem("gptoss.theme")));
}
