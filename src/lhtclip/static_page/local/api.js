// The same calls as those of the server's api.js, answered by a worker in this browser.

const worker = new Worker(new URL("./local/worker.js", import.meta.url), { type: "module" });
const waiting = new Map();
let count = 0;
let tell = () => {};

worker.addEventListener("message", ({ data: { id, value, error, progress } }) => {
  if (progress) return tell(progress);
  const { resolve, reject } = waiting.get(id) ?? {};
  waiting.delete(id);
  if (error) reject?.(Object.assign(new Error(error.message), { status: error.status }));
  else resolve?.(value);
});
worker.addEventListener("error", (event) => {
  const error = new Error(`The model cannot be run in this browser: ${event.message || "see its console"}.`);
  for (const { reject } of waiting.values()) reject(error);
  waiting.clear();
});

function call(name, args = [], signal) {
  const id = ++count;
  return new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => {
      worker.postMessage({ cancel: id });
      waiting.delete(id);
      reject(new DOMException("A newer question replaces this one.", "AbortError"));
    });
    waiting.set(id, { resolve, reject });
    worker.postMessage({ id, name, args });
  });
}

export const server = {
  local: true,
  onProgress: (listener) => (tell = listener),
  upload: (blob, signal) => call("upload", [blob], signal),
  segment: (id, question, signal) => call("segment", [id, question], signal),
  files: (id, question, include) => call("files", [id, question, include]),
  probe: (id, question, signal) => call("probe", [id, question], signal),
  view: (id, question, signal) => call("view", [id, question], signal),
  methods: () => call("methods"),
  models: () => call("models"),
  examples: () => call("examples"),
  example: (name) => call("example", [name]),
  folder: () => Promise.reject(new Error("There is no folder without a server.")),
};
