// A result as the service describes it: index, name, colour, share and mean score of every class.

export function describe({ labels, scores, vocabulary }, { colours, background_colour }) {
  const counts = new Float64Array(256);
  const sums = new Float64Array(256);
  for (let i = 0; i < labels.length; i++) {
    counts[labels[i]]++;
    sums[labels[i]] += scores[i];
  }
  return vocabulary.names.map((name, index) => ({
    index,
    name,
    colour: index === vocabulary.background ? background_colour : colours[index],
    share: counts[index] / labels.length,
    score: counts[index] ? sums[index] / counts[index] : null,
  }));
}
