// The call that reproduces what is on the page, in Python and for the command line.

import { changed } from "./gains.js";

export function asPython({ model: own, name }, words, { model, background, threshold, method, lht, gains }) {
  const given = changed(gains);
  const settings = [
    JSON.stringify(model ?? own),
    method && `method=${JSON.stringify(method)}`,
    techniquesInPython(Object.entries(lht ?? {})),
    record("windows", "WindowSettings", windows(given)),
    record("decoding", "DecodeSettings", decoding(given)),
  ].filter(Boolean);
  const more = [
    background && `background=${JSON.stringify(background)}`,
    threshold && `threshold=${threshold}`,
  ].filter(Boolean);
  const classes = [JSON.stringify(words.all.join(", ")), ...more].join(", ");
  const added = given.aliases === "common";
  const call = [
    `segmenter = Segmenter.from_pretrained(${settings.join(", ")})`,
    ...(added ? [`vocabulary = with_aliases(Vocabulary.of(${classes}), "common")`] : []),
    `result = segmenter.segment(${JSON.stringify(name)}, ${
      added ? ["vocabulary", ...more.filter((each) => each.startsWith("threshold"))].join(", ") : classes
    })`,
    'result.save("labels.png")',
    "",
  ].join("\n");
  const known = ["AliasSettings", "DecodeSettings", "PamrSettings", "PtcSettings", "Segmenter"];
  const names = [...known, "TlpSettings", "Vocabulary", "WindowSettings", "with_aliases"];
  const used = names.filter((each) => call.includes(`${each}(`) || call.includes(`${each}.`));
  return `from lhtclip import ${used.join(", ")}\n\n${call}`;
}

function record(field, kind, entries) {
  return entries.length ? `${field}=${kind}(${entries.join(", ")})` : "";
}

function windows({ short_side, flip, shifts, joint }) {
  return [
    short_side && `short_side=${short_side[1] ? `(${short_side.join(", ")})` : short_side[0]}`,
    flip && "flip=True",
    shifts && `shifts=${shifts}`,
    joint && "joint=True",
  ].filter(Boolean);
}

function decoding({ refine, prior, aliases, calibrate_texts }) {
  return [
    refine === "pamr" && "pamr=PamrSettings()",
    refine === "tlp" && "tlp=TlpSettings()",
    prior && `prior=${prior}`,
    aliases && "aliases=AliasSettings()",
    calibrate_texts && "ptc=PtcSettings()",
  ].filter(Boolean);
}

function techniquesInPython(switches) {
  if (switches.every(([, on]) => on === true)) return "";
  if (switches.every(([, on]) => !on)) return "lht=False";
  const changes = switches.filter(([, on]) => on !== true);
  const pairs = changes.map(([name, on]) => `"${name}": ${on ? JSON.stringify(on) : "False"}`);
  return `lht={${pairs.join(", ")}}`;
}

export function asCommand({ model: own, name }, words, { model, background, threshold, method, lht, gains }) {
  const { refine, prior, flip, shifts, short_side, joint, aliases, calibrate_texts } =
    changed(gains);
  const parts = ["lhtclip segment", quote(name), "--model", quote(model ?? own)];
  if (method) parts.push("--method", method);
  const off = Object.entries(lht ?? {}).filter(([, on]) => !on);
  if (lht && off.length === Object.keys(lht).length) parts.push("--no-lht");
  else for (const [technique] of off) parts.push(`--no-${technique}`);
  if (typeof lht?.atr === "string") parts.push("--atr-by", lht.atr);
  parts.push("--classes", quote(words.all.join(", ")));
  if (background) parts.push("--background", quote(background));
  if (threshold) parts.push("--threshold", threshold);
  if (refine) parts.push("--refine", refine);
  if (prior) parts.push("--prior", prior);
  if (flip) parts.push("--flip");
  if (shifts) parts.push("--shifts", shifts);
  if (short_side) parts.push("--short-side", short_side.join(","));
  if (joint) parts.push("--joint-windows");
  if (calibrate_texts) parts.push("--calibrate-texts");
  if (aliases) parts.push("--aliases", aliases);
  return parts.join(" ");
}

const quote = (text) => `'${String(text).replaceAll("'", `'"'"'`)}'`;
