// Classes, their prompts and the background, by the rules of `lhtclip.text.vocabulary`.

const BACKGROUND = "background";
const SPACES = /[\p{White_Space}\x1c-\x1f]+/gu; // what Python splits at
const MOST_CLASSES = 255; // labels are bytes here

// `known` has the words of `lhtclip.text.background` and its nouns of stuff.
export function vocabularyOf(classes, background, threshold, known) {
  if (!classes.length) throw new Error("No class was given.");
  const entries = classes.map((words) => {
    const queries = phrases(words);
    return { name: queries[0], queries };
  });
  const hasBackground = background !== null || threshold > 0;
  if (hasBackground) {
    if (entries.some(({ name }) => key(name) === BACKGROUND)) {
      throw new Error("One of the classes is called 'background', and a background or a threshold is given as well.");
    }
    const prompts = entries.flatMap(({ queries }) => queries);
    const queries = background === null ? [] : backgroundWords(background, prompts, known);
    entries.unshift({ name: BACKGROUND, queries });
  }
  check(entries);
  return {
    names: entries.map(({ name }) => name),
    queries: entries.flatMap(({ queries }) => queries),
    classOfQuery: entries.flatMap(({ queries }, i) => queries.map(() => i)),
    background: hasBackground ? 0 : null,
  };
}

function backgroundWords(background, prompts, { words, stuff }) {
  if (background !== "auto") return phrases(background.replaceAll(",", "|").split("|"));
  const nouns = prompts.map((prompt) => prompt.replaceAll("-", " ").trim().split(SPACES).at(-1));
  if (nouns.some((noun) => forms(noun).some((form) => stuff.includes(form)))) return [BACKGROUND];
  const used = new Set(prompts.flatMap((prompt) => prompt.split(SPACES).flatMap(forms)));
  const chosen = words.filter((word) => !forms(word).some((form) => used.has(form)));
  return chosen.length ? chosen : [BACKGROUND];
}

// A word and its singular, if it looks like a plural.
function forms(word) {
  const small = key(word);
  return small.endsWith("s") ? [small, small.slice(0, -1)] : [small];
}

function check(entries) {
  if (entries.length > MOST_CLASSES) throw new Error(`At most ${MOST_CLASSES} classes are possible here.`);
  const names = new Set();
  const owners = new Map();
  for (const { name, queries } of entries) {
    if (names.has(key(name))) throw new Error(`The class '${name}' was given twice: remove one.`);
    names.add(key(name));
    for (const query of queries) {
      const owner = owners.get(key(query)) ?? name;
      if (owner !== name) throw new Error(`'${query}' is a prompt of both '${owner}' and '${name}': give it to one class only.`);
      owners.set(key(query), name);
    }
  }
}

function phrases(words) {
  const found = new Map();
  for (const word of words) {
    const clean = word.replace(SPACES, " ").replace(/^ | $/g, "");
    if (!clean) throw new Error("A class or a background word is empty: remove it or fill it in.");
    if (!found.has(key(clean))) found.set(key(clean), clean);
  }
  return [...found.values()];
}

const key = (word) => word.normalize("NFC").toUpperCase().toLowerCase();
