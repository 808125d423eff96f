// Colours for code: comments, strings, numbers and the words that most languages reserve. Close enough to read by.

const HASH = /^(py|python|sh|bash|zsh|shell|console|ruby|rb|yaml|yml|toml|ini|make|makefile|dockerfile|perl|r|nix|tcl|elixir|conf)$/;
const DASH = /^(sql|lua|haskell|hs|ada|postgresql|mysql)$/;
const PLAIN = /^(|text|txt|plain|plaintext|md|markdown|output|log|csv|tree)$/;
const maxLength = 20000; // beyond, colours cost more than they give

const WORDS = new Set(
  `abstract and as assert async await bool boolean break byte case catch chan char class const continue def default defer del delete do double elif
   else end enum except export extends extern false False final finally float fn for foreach func function go goto if impl implements import in
   instanceof int integer interface is lambda let local long loop map match mod module move mut namespace new nil none None nonlocal not null or
   package pass private protected pub public raise range return select self short signed sizeof static string struct super switch template then this
   throw throws trait true True try type typedef typeof union unsigned until use using val var void volatile when where while with yield`.split(/\s+/),
);
const SQL = new Set(
  `select from where insert into values update set delete create table alter drop index primary key foreign references join left right inner outer on
   group by order having limit as and or not null is in like between distinct union all count sum avg min max case when then else end`.split(/\s+/),
);

function expression(language) {
  const comment = HASH.test(language) ? "#[^\\n]*" : DASH.test(language) ? "--[^\\n]*" : "\\/\\/[^\\n]*|\\/\\*[^]*?(?:\\*\\/|$)|^#[^\\n]*";
  const string = `"""[^]*?(?:"""|$)|"(?:[^"\\\\\\n]|\\\\.)*"|'(?:[^'\\\\\\n]|\\\\.)*'|\`(?:[^\`\\\\]|\\\\.)*\``;
  return new RegExp(`(${comment})|(${string})|(\\b\\d[\\w.]*)|([\\p{L}_$][\\p{L}\\p{N}_$]*)(?=(\\s*\\()?)`, "gmu");
}

/** highlight splits code into pieces of a kind: comment, string, number, word, call, or "" for the rest. */
export function highlight(code, language) {
  language = language.toLowerCase();
  if (PLAIN.test(language) || code.length > maxLength) return [{ kind: "", text: code }];
  const words = DASH.test(language) ? { has: (w) => SQL.has(w.toLowerCase()) } : WORDS;
  const pieces = [];
  let at = 0;
  for (const m of code.matchAll(expression(language))) {
    const kind = m[1] ? "comment" : m[2] ? "string" : m[3] ? "number" : words.has(m[4]) ? "word" : m[5] ? "call" : "";
    if (!kind) continue;
    if (m.index > at) pieces.push({ kind: "", text: code.slice(at, m.index) });
    pieces.push({ kind, text: m[0] });
    at = m.index + m[0].length;
  }
  if (at < code.length) pieces.push({ kind: "", text: code.slice(at) });
  return pieces;
}
