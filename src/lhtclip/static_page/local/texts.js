// Prompts to embeddings: every template is filled, encoded and averaged, once per prompt.

import { Tokenizer } from "./tokenizer.js";

const BATCH_TOKENS = 2048;

export class Texts {
  constructor(ort, session, tokenizer, { templates, width, context }, tell) {
    Object.assign(this, { ort, session, templates, width, tell });
    this.tokenizer = new Tokenizer(tokenizer, context);
    this.known = new Map();
  }

  // (queries, width) float32, rows of unit length.
  async encode(queries) {
    const missing = [...new Set(queries)].filter((query) => !this.known.has(query));
    for (const [i, query] of missing.entries()) {
      if (missing.length > 1) this.tell(`Reading the words: ${i + 1} of ${missing.length}`);
      this.known.set(query, await this.#embed(query));
    }
    const table = new Float32Array(queries.length * this.width);
    queries.forEach((query, i) => table.set(this.known.get(query), i * this.width));
    return table;
  }

  async #embed(query) {
    const rows = this.templates.map((template) => this.tokenizer.encode(template.replace("{}", () => query)));
    rows.sort((a, b) => b.length - a.length);
    const total = new Float64Array(this.width);
    for (let start = 0; start < rows.length; ) {
      const length = rows[start].length;
      const batch = rows.slice(start, start + Math.max(1, Math.floor(BATCH_TOKENS / length)));
      const ids = new BigInt64Array(batch.length * length).fill(BigInt(this.tokenizer.end));
      batch.forEach((row, i) => row.forEach((id, j) => (ids[i * length + j] = BigInt(id))));
      const tokens = new this.ort.Tensor("int64", ids, [batch.length, length]);
      const { embeddings } = await this.session.run({ tokens });
      embeddings.data.forEach((value, i) => (total[i % this.width] += value));
      start += batch.length;
    }
    const size = Math.hypot(...total);
    return Float32Array.from(total, (value) => value / size);
  }
}
