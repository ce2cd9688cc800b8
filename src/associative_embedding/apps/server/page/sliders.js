// The sliders. A setting that nobody moved is not sent, so the model's own value is used, exactly.

// Words, lowest value, highest value and step of each setting, and where it is shown.
export const SETTINGS = {
  min_score: { words: "Lowest score", help: "Results with a lower score are hidden. Move it left to see more, and more mistakes.", low: 0, high: 1, step: .01 },
  threshold: { words: "Lowest certainty", help: "How certain the network must be of a point or pixel. Lower finds more that is small or hidden.", low: .02, high: .95, step: .01 },
  tag_threshold: { words: "Largest difference in a group", help: "How different the tags in one skeleton may be. Higher joins more points; lower splits neighbours.", low: .1, high: 3, step: .05 },
  fill_threshold: { words: "Certainty of added points", help: "How certain a missing point must be to be added. Lower gives more complete skeletons.", low: .01, high: .5, step: .01 },
  bandwidth: { words: "Difference between neighbours", help: "How different the tags of two touching objects must be. Lower splits more; higher merges.", low: .1, high: 2, step: .05 },
  min_weight: { words: "Smallest object", help: "How many sure pixels of the network's map an object needs. Higher drops small objects.", low: 0, high: 20, step: .5 },
  min_size: { words: "Smallest area, in pixels", help: "Smaller areas are dropped. Higher removes specks.", low: 0, high: 500, step: 5 },
};

// Returns {low, high, step} of a slider that can show the model's own value, also one outside of the usual range.
export function rangeOf(name, value) {
  const { low, high, step } = SETTINGS[name] ?? { low: 0, high: 1, step: .01 };
  if (value <= high) return { low: Math.min(low, value), high, step };
  const top = 2 * value;
  return { low, high: top, step: Math.max(step, 10 ** Math.floor(Math.log10((top - low) / 100))) };
}

// Adds a slider for each setting; `changed` is called after each move.
export function buildSliders(model, changed) {
  const sliders = [];
  for (const [name, value] of Object.entries({ min_score: model.min_score, ...model.settings })) {
    if (!Number.isFinite(value)) continue;
    const slider = buildSlider(name, value, changed);
    document.getElementById(name === "min_score" ? "sliders" : "fine").append(slider.box);
    sliders.push(slider);
  }
  return sliders;
}

function buildSlider(name, value, changed) {
  const { words, help } = SETTINGS[name] ?? { words: name.replaceAll("_", " "), help: "" };
  const { low, high, step } = rangeOf(name, value);
  const box = element("div", { className: "slider" }), label = element("label", { htmlFor: `set-${name}` });
  const input = element("input", { type: "range", id: `set-${name}`, min: low, max: high, step });
  const output = element("span"), text = element("p", { className: "help", id: `help-${name}`, textContent: help });
  const slider = { name, box, moved: false, value: () => input.value };
  // In words, since the place of the slider is rounded to its step, and the model's own value is not.
  const show = text => { output.textContent = text; input.setAttribute("aria-valuetext", text); };
  slider.reset = () => { slider.moved = false; input.value = value; show(shortNumber(value)); };
  input.setAttribute("aria-describedby", text.id);
  input.addEventListener("input", () => { slider.moved = true; show(input.value); changed(); });
  label.textContent = words;
  box.append(element("div", { className: "head" }, label, output), input, text);
  slider.reset();
  return slider;
}

// Returns the settings that were moved, as the query of a request.
export function movedSettings(sliders) {
  return Object.fromEntries(sliders.filter(slider => slider.moved).map(slider => [slider.name, slider.value()]));
}

function shortNumber(value) { return String(Number(value.toPrecision(6))); }

export function element(tag, values, ...children) {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...children);
  return made;
}
