// What the techniques see, one value a patch: Hoyer's sparsity, or the similarity to one patch.

export function viewOf(encoded, { width, height }, { kind, x, y }) {
  const grid = patchGrid(encoded);
  const { rows, columns, vectors } = grid;
  const chosen = vectors[Math.floor((y * rows) / height) * columns + Math.floor((x * columns) / width)];
  const values = vectors.map((own) => (kind === "hoyer" ? hoyer(own) : dot(own, chosen)));
  const lowest = values.reduce((a, b) => Math.min(a, b));
  const highest = values.reduce((a, b) => Math.max(a, b));
  const scaled = values.map((value) => (value - lowest) / Math.max(highest - lowest, 1e-9));
  const lines = Array.from({ length: rows }, (_, row) => scaled.slice(row * columns, (row + 1) * columns));
  return { kind, rows, columns, lowest, highest, values: lines };
}

// The windows' patches on one grid, those of the nearest window where windows overlap.
function patchGrid({ embeddings, tops, lefts, windowHeight, windowWidth, height, width, rows, columns }) {
  const patch = Math.floor(windowHeight / rows);
  const size = embeddings.length / (tops.length * lefts.length * rows * columns);
  const [down, across] = [Math.floor(height / patch), Math.floor(width / patch)];
  const side = (count, starts, length, most) =>
    Array.from({ length: count }, (_, i) => {
      const window = nearest(starts, length, (i + 0.5) * patch);
      const inside = Math.floor((i * patch - starts[window]) / patch);
      return { window, place: Math.min(Math.max(inside, 0), most - 1) };
    });
  const vectors = side(down, tops, windowHeight, rows).flatMap((row) =>
    side(across, lefts, windowWidth, columns).map((column) => {
      const window = row.window * lefts.length + column.window;
      const start = ((window * rows + row.place) * columns + column.place) * size;
      return embeddings.subarray(start, start + size);
    }),
  );
  return { rows: down, columns: across, vectors };
}

function nearest(starts, length, place) {
  const distance = (window) => Math.abs(place - (starts[window] + length / 2));
  return starts.reduce((best, _, window) => (distance(window) < distance(best) ? window : best), 0);
}

function hoyer(vector) {
  const root = Math.sqrt(vector.length);
  const total = vector.reduce((sum, value) => sum + Math.abs(value), 0);
  const length = Math.sqrt(dot(vector, vector));
  return length ? Math.min(Math.max((root - total / length) / (root - 1), 0), 1) : 0;
}

const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
