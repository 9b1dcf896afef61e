// Connected regions of a label map: as polygons along pixel sides, and as COCO's run lengths.
// The order of regions and points is that of `lhtclip.regions`.

const STEP = [[1, 0], [0, 1], [-1, 0], [0, -1]]; // right, down, left, up

export function polygonRegions(result, { names, background }) {
  const regions = regionsOf(result);
  return ringsOf(regions, result)
    .map((rings, i) => ({ rings, ...regions.list[i] }))
    .filter(({ label }) => label !== background)
    .map(({ rings, label, area, score }) => ({ class: names[label], score, area, rings }));
}

export function cocoRegions(result, { background }) {
  const { width, height } = result;
  return regionsOf(result)
    .list.filter(({ label }) => label !== background)
    .map(({ label, area, score, box, runs }, i) => ({
      id: i + 1,
      image_id: 1,
      category_id: label + (background === null ? 1 : 0), // the background is class 0, and no category
      segmentation: { size: [height, width], counts: compress(countsOf(runs, width * height)) },
      area,
      bbox: box,
      iscrowd: 0,
      score,
    }));
}

// Regions in column-major order of their first pixels, and the region of every pixel.
function regionsOf({ labels, scores, width, height }) {
  const number = new Int32Array(width * height).fill(-1);
  const list = [];
  const stack = [];
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      if (number[y * width + x] >= 0) continue;
      const label = labels[y * width + x];
      number[y * width + x] = list.length;
      stack.push(y * width + x);
      while (stack.length) {
        const at = stack.pop();
        const column = at % width;
        const visit = (next) => {
          if (number[next] >= 0 || labels[next] !== label) return;
          number[next] = list.length;
          stack.push(next);
        };
        if (column > 0) visit(at - 1);
        if (column + 1 < width) visit(at + 1);
        if (at >= width) visit(at - width);
        if (at + width < number.length) visit(at + width);
      }
      list.push({ label, area: 0, sum: 0, runs: [], left: x, top: y, right: x, bottom: y });
    }
  }
  measure(list, number, scores, width, height);
  return { list, number };
}

function measure(list, number, scores, width, height) {
  for (let x = 0, place = 0; x < width; x++) {
    for (let y = 0; y < height; y++, place++) {
      const own = list[number[y * width + x]];
      own.area++;
      own.sum += scores[y * width + x];
      own.top = Math.min(own.top, y);
      own.bottom = Math.max(own.bottom, y);
      own.right = x;
      const last = own.runs.at(-1);
      if (last && last[1] === place) last[1]++;
      else own.runs.push([place, place + 1]);
    }
  }
  for (const own of list) {
    own.score = Number((own.sum / own.area).toFixed(4));
    own.box = [own.left, own.top, own.right - own.left + 1, own.bottom - own.top + 1];
  }
}

function ringsOf({ list, number }, { width, height }) {
  const rings = list.map(() => []);
  const walked = new Uint8Array((width + 1) * (height + 1) * 4);
  const at = (x, y) => (x >= 0 && y >= 0 && x < width && y < height ? number[y * width + x] : -1);
  // The pixels on the right-hand and on the left-hand side of a step from a corner.
  const sides = (x, y, direction) => {
    const around = [at(x, y), at(x - 1, y), at(x - 1, y - 1), at(x, y - 1)];
    return [around[direction], around[(direction + 3) % 4]];
  };
  const crack = (x, y, direction) => {
    const [right, left] = sides(x, y, direction);
    return right !== left;
  };
  for (let y = 0; y <= height; y++) {
    for (let x = 0; x <= width; x++) {
      for (let direction = 0; direction < 4; direction++) {
        const [owner, other] = sides(x, y, direction);
        if (owner < 0 || owner === other || walked[(y * (width + 1) + x) * 4 + direction]) continue;
        rings[owner].push(walk(x, y, direction, { walked, crack, width }));
      }
    }
  }
  return rings.map((own) => [...own.filter((ring) => !isHole(ring)), ...own.filter(isHole)]);
}

function walk(x, y, direction, { walked, crack, width }) {
  const points = [];
  let before = -1;
  for (let step; !walked[(step = (y * (width + 1) + x) * 4 + direction)]; ) {
    walked[step] = 1;
    if (direction !== before) points.push([x, y]);
    before = direction;
    x += STEP[direction][0];
    y += STEP[direction][1];
    direction = [1, 0, 3].map((turn) => (direction + turn) % 4).find((each) => crack(x, y, each));
  }
  points.push(points[0]);
  return points;
}

function isHole(ring) {
  let twice = 0;
  for (let i = 0; i + 1 < ring.length; i++) twice += ring[i][0] * ring[i + 1][1] - ring[i + 1][0] * ring[i][1];
  return twice < 0;
}

// Pixels outside and inside by turns.
function countsOf(runs, pixels) {
  const counts = [];
  let end = 0;
  for (const [start, stop] of runs) {
    counts.push(start - end, stop - start);
    end = stop;
  }
  return end < pixels ? [...counts, pixels - end] : counts;
}

// COCO's text of run lengths: differences in groups of 5 bits.
function compress(counts) {
  let text = "";
  counts.forEach((count, i) => {
    let value = i > 2 ? count - counts[i - 2] : count;
    for (let more = true; more; ) {
      const bits = value & 31;
      value >>= 5;
      more = bits & 16 ? value !== -1 : value !== 0;
      text += String.fromCharCode(bits + (more ? 32 : 0) + 48);
    }
  });
  return text;
}
