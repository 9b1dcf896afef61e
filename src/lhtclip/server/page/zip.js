// A ZIP archive of files that are compressed already: stored, not deflated.

import { crc32 } from "./crc32.js";

const DATE = 0x21; // 1 January 1980, so that the same files give the same archive

export function zip(files) {
  const parts = [];
  const directory = [];
  let offset = 0;
  for (const { name, data } of files) {
    const title = new TextEncoder().encode(name);
    const about = { title, sum: crc32(data), size: data.length, offset };
    const head = record(0x04034b50, [20], about, []);
    parts.push(head, title, data);
    directory.push(record(0x02014b50, [20, 20], about, [0, 0, 0, 0, offset]), title);
    offset += head.length + title.length + data.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  return new Blob([...parts, ...directory, end(files.length, size, offset)], { type: "application/zip" });
}

// A local header, or an entry of the directory with its further fields.
function record(mark, versions, { title, sum, size }, more) {
  const flags = 0x0800; // names are UTF-8
  const short = [...versions, flags, 0, 0, DATE];
  const fields = [[mark, 4], ...short.map((value) => [value, 2])];
  fields.push([sum, 4], [size, 4], [size, 4], [title.length, 2], [0, 2]);
  more.forEach((value, i) => fields.push([value, i < 3 ? 2 : 4]));
  return bytes(fields);
}

function end(count, size, offset) {
  return bytes([[0x06054b50, 4], [0, 2], [0, 2], [count, 2], [count, 2], [size, 4], [offset, 4], [0, 2]]);
}

function bytes(fields) {
  const out = new Uint8Array(fields.reduce((sum, [, length]) => sum + length, 0));
  let at = 0;
  for (const [value, length] of fields) {
    for (let i = 0; i < length; i++) out[at++] = (value >>> (8 * i)) & 255;
  }
  return out;
}
