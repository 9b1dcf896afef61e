// Short texts about what is shown: a pane's model, method and techniques, and a view of the patches.

export function caption({ model, method, lht }) {
  const switches = Object.entries(lht ?? {});
  const on = switches.filter(([, used]) => used).map(([name]) => name.toUpperCase());
  const techniques = on.length === switches.length ? "LHT" : on.join(", ");
  const what = [method ?? "", ...(on.length ? [techniques] : [])].join(" + ");
  return model ? `${model}: ${what}` : what;
}

export function explanation(views, point) {
  const ranges = views.map(({ lowest, highest }) => `${lowest.toFixed(2)} to ${highest.toFixed(2)}`);
  const range = ranges.length > 1 ? `${ranges[0]} on the left, ${ranges[1]} on the right` : ranges[0];
  return views[0].kind === "hoyer"
    ? `Sparsity of every patch: ${range}.`
    : `Cosine of every patch to the one at ${point.x}, ${point.y}: ${range}.`;
}
