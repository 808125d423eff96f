// Runs before the first paint, so that a chosen theme does not flash the other one. Without a choice the system decides.
try {
  const theme = localStorage.getItem("gptoss.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // storage is blocked: the system's theme it is
}
