// Logits of patches to labels of pixels: upsampling, averaging of windows and resizing are one
// matrix for each axis; then a softmax over all prompts, and the best prompt's class wins.

// Scaled cosines of patches and texts: (patches, queries).
export function cosines(embeddings, texts, width, scale) {
  const queries = texts.length / width;
  const patches = embeddings.length / width;
  const logits = new Float32Array(patches * queries);
  for (let patch = 0; patch < patches; patch++) {
    for (let query = 0; query < queries; query++) {
      let sum = 0;
      for (let i = 0, a = patch * width, b = query * width; i < width; i++) sum += embeddings[a + i] * texts[b + i];
      logits[patch * queries + query] = Math.fround(sum) * scale;
    }
  }
  return logits;
}

// The class of every pixel and its probability; below the threshold it is class 0.
export function decode(logits, encoded, { width, height }, vocabulary, threshold) {
  const queries = vocabulary.queries.length;
  const { down, across, place } = axes(encoded, width, height);
  const labels = new Uint8Array(width * height);
  const scores = new Float32Array(width * height);
  const row = new Float32Array(across.patches * queries);
  const mixed = new Float32Array(queries);
  for (let y = 0, pixel = 0; y < height; y++) {
    mixRow(logits, row, down, y, across.patches, queries, place);
    for (let x = 0; x < width; x++, pixel++) {
      mixColumn(row, mixed, across, x, queries);
      let best = 0;
      for (let query = 1; query < queries; query++) if (mixed[query] > mixed[best]) best = query;
      let total = 0;
      for (let query = 0; query < queries; query++) total += Math.exp(mixed[query] - mixed[best]);
      scores[pixel] = 1 / total;
      labels[pixel] = scores[pixel] < threshold ? 0 : vocabulary.classOfQuery[best];
    }
  }
  return { labels, scores, width, height, vocabulary };
}

// Classes with their probabilities at one pixel, best first.
export function probabilitiesAt(logits, encoded, { width, height }, vocabulary, { x, y }) {
  const queries = vocabulary.queries.length;
  const { down, across, place } = axes(encoded, width, height);
  const row = new Float32Array(across.patches * queries);
  const mixed = new Float32Array(queries);
  mixRow(logits, row, down, y, across.patches, queries, place);
  mixColumn(row, mixed, across, x, queries);
  const best = Math.max(...mixed);
  const chances = mixed.map((value) => Math.exp(value - best));
  const total = chances.reduce((sum, value) => sum + value, 0);
  const found = vocabulary.names.map((name) => ({ name, probability: 0 }));
  chances.forEach((value, query) => {
    const own = found[vocabulary.classOfQuery[query]];
    own.probability = Math.max(own.probability, value / total);
  });
  return found.sort((a, b) => b.probability - a.probability);
}

// (patches across, queries) of one row of pixels.
function mixRow(logits, row, down, y, patches, queries, place) {
  row.fill(0);
  for (let i = down.first[y]; i < down.last[y]; i++) {
    const weight = down.matrix[y * down.patches + i];
    for (let column = 0; column < patches; column++) {
      const from = place(i, column) * queries;
      const to = column * queries;
      for (let query = 0; query < queries; query++) row[to + query] += weight * logits[from + query];
    }
  }
}

function mixColumn(row, mixed, across, x, queries) {
  mixed.fill(0);
  for (let i = across.first[x]; i < across.last[x]; i++) {
    const weight = across.matrix[x * across.patches + i];
    for (let query = 0, from = i * queries; query < queries; query++) mixed[query] += weight * row[from + query];
  }
}

// Both axes, and the index of the patch in row i and column j of all windows sorted by position.
function axes({ tops, lefts, windowHeight, windowWidth, rows, columns, ...resized }, width, height) {
  const down = axis(tops, windowHeight, resized.height, rows, height);
  const across = axis(lefts, windowWidth, resized.width, columns, width);
  const place = (i, j) => {
    const [row, column] = [down.order[i], across.order[j]];
    const window = Math.floor(row / rows) * lefts.length + Math.floor(column / columns);
    return (window * rows + (row % rows)) * columns + (column % columns);
  };
  return { down, across, place };
}

// From the patches of all windows along an axis to pixels: `axis_matrix` of the library.
function axis(starts, window, resized, grid, pixels) {
  const patches = starts.length * grid;
  const centres = starts.flatMap((start) => Array.from({ length: grid }, (_, i) => start + (i + 0.5) * (window / grid)));
  const order = centres.map((_, i) => i).sort((a, b) => centres[a] - centres[b] || a - b);
  const upsampled = resizeRows(identity(grid), grid, grid, window);
  const averaged = new Float64Array(resized * patches);
  starts.forEach((start, number) => {
    for (let y = 0; y < window; y++) {
      averaged.set(upsampled.subarray(y * grid, (y + 1) * grid), (start + y) * patches + number * grid);
    }
  });
  for (let y = 0; y < resized; y++) {
    const own = averaged.subarray(y * patches, (y + 1) * patches);
    const total = own.reduce((sum, value) => sum + value, 0);
    for (let i = 0; i < patches; i++) own[i] /= total;
  }
  const whole = resizeRows(averaged, resized, patches, pixels);
  const matrix = new Float32Array(pixels * patches);
  const first = new Int32Array(pixels).fill(patches);
  const last = new Int32Array(pixels);
  for (let y = 0; y < pixels; y++) {
    for (let i = 0; i < patches; i++) {
      const weight = whole[y * patches + order[i]];
      matrix[y * patches + i] = weight;
      if (weight) [first[y], last[y]] = [Math.min(first[y], i), i + 1];
    }
  }
  return { order, matrix, first, last, patches };
}

// Bilinear (source, columns) to (target, columns), torch's lerp in float64.
function resizeRows(matrix, source, columns, target) {
  const out = new Float64Array(target * columns);
  for (let y = 0; y < target; y++) {
    const at = Math.min(Math.max((y + 0.5) * (source / target) - 0.5, 0), source - 1);
    const low = Math.floor(at);
    const high = Math.min(low + 1, source - 1);
    const share = at - low;
    for (let i = 0; i < columns; i++) {
      const [a, b] = [matrix[low * columns + i], matrix[high * columns + i]];
      out[y * columns + i] = share < 0.5 ? a + share * (b - a) : b - (b - a) * (1 - share);
    }
  }
  return out;
}

function identity(size) {
  const matrix = new Float64Array(size * size);
  for (let i = 0; i < size; i++) matrix[i * (size + 1)] = 1;
  return matrix;
}
