// The service's REST calls. Every error becomes an Error whose message a person can read.

let token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", location.pathname);
} else {
  token = sessionStorage.getItem("token");
}

async function call(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    problem = { detail: `The server answered ${answer.status}.` };
  }
  const error = new Error(problem.detail || problem.title);
  error.status = answer.status;
  throw error;
}

function bytes(base64) {
  const letters = atob(base64);
  const content = new Uint8Array(letters.length);
  for (let i = 0; i < content.length; i++) content[i] = letters.charCodeAt(i);
  return content;
}

// Class indices from their PNG.
async function indices(png) {
  const bitmap = await createImageBitmap(new Blob([png], { type: "image/png" }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const pixels = new Uint32Array(context.getImageData(0, 0, bitmap.width, bitmap.height).data.buffer);
  const labels = new Uint8Array(pixels.length);
  for (let i = 0; i < labels.length; i++) labels[i] = pixels[i]; // keeps red, the lowest byte
  return labels;
}

async function json(path, body, signal) {
  const options = body && {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal,
  };
  return (await call(path, options)).json();
}

export const server = {
  upload: async (blob, signal) =>
    (
      await call("/v1/images", {
        method: "POST",
        headers: { "content-type": blob.type || "application/octet-stream" },
        body: blob,
        signal,
      })
    ).json(),
  segment: async (id, question, signal) => {
    const answer = await json(`/v1/images/${id}/segment`, question, signal);
    return { ...answer, labels: await indices(bytes(answer.labels)) };
  },
  files: async (id, question, include) => {
    const answer = await json(`/v1/images/${id}/segment`, { ...question, include });
    for (const name of ["labels", "overlay"]) answer[name] = answer[name] && bytes(answer[name]);
    return answer;
  },
  probe: (id, question, signal) => json(`/v1/images/${id}/probe`, question, signal),
  view: (id, question, signal) => json(`/v1/images/${id}/view`, question, signal),
  methods: async () => ({ ...(await json("/v1/methods")), switches: ["ssr", "atr", "she"] }),
  models: () => json("/v1/models"),
  examples: async () => (await json("/v1/examples")).examples,
  example: async (name) => (await call(`/v1/examples/${name}`)).blob(),
  folder: (start, count) => json(`/v1/folder?start=${start}&count=${count}`),
  open: async (name) =>
    (await call(`/v1/folder/open?name=${encodeURIComponent(name)}`, { method: "POST" })).json(),
  original: async (name) => (await call(`/v1/folder/image?name=${encodeURIComponent(name)}`)).blob(),
  thumbnail: async (name) =>
    (await call(`/v1/folder/thumbnail?name=${encodeURIComponent(name)}`)).blob(),
};
