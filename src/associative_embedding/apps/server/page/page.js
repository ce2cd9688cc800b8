// The page: the photo, the request in progress and its result. Drawing, sliders and requests are in the other files.
import { draw, instanceAt, instanceColours, jointAt, jointName } from "./drawing.js";
import { describeModel, plain, predict, ServiceError } from "./service.js";
import { megabytes, readPhoto } from "./photos.js";
import { buildSliders, element, movedSettings } from "./sliders.js";
import { camera } from "./camera.js";

const PAUSE = 150; // milliseconds without a move of a slider before the next request
const PLURALS = { person: "people", nucleus: "nuclei" };
const $ = id => document.getElementById(id);

// photo: {name, bytes, digest}; view: what is drawn, see drawing.js; dataset: the answer, of this photo and
// these settings only; pinned and pointed: indices of instances, or -1; joint: of a keypoint, or -1; request: the newest one; failure: of `start`.
let model = null, sliders = [], photo = null, view = null, dataset = null, pinned = -1, pointed = -1, joint = -1, request = null, timer = 0, opened = 0, failure = "";

function say(text) { $("status").textContent = text; }

function complain(text, again = false) {
  say("");
  $("problem").textContent = text;
  $("again").hidden = !again;
}

async function start() {
  let description;
  try { description = await describeModel(); } catch (error) {
    failure = error instanceof ServiceError ? error.message : "The page failed.";
    complain(failure, true);
    return;
  }
  model = { ...description, byId: new Map(description.categories.map(category => [category.id, category])) };
  describe();
  sliders = buildSliders(model, settingsMoved);
  $("more").hidden = !$("fine").firstChild;
  await find(); // of a photo that was chosen before
}

function describe() {
  const names = model.categories.map(category => plain(category.name));
  const each = names.length > 3 ? `objects of ${names.length} kinds` : `every ${names.join(", ").replace(/, ([^,]*)$/, " and $1")}`;
  $("what").textContent = `Find ${each} in a photo`;
  const one = names.length === 1 ? names[0] : "object";
  $("promise").textContent = model.masks
    ? `Choose a photo, and the outline of each ${one} appears over it, also where several touch.`
    : `Choose a photo, and the skeleton of each ${one} appears over it, also where several stand close together.`;
  document.title = `${$("what").textContent} | associative embedding`;
  $("limits").textContent = `JPEG, PNG, WebP or TIFF, up to ${megabytes(model.limits.bytes)}`;
  $("measure").textContent = model.masks ? "Area" : "Points";
  if (model.example) { $("example-picture").src = `page/${model.example}`; $("example").hidden = false; }
  showLegend();
}

function showLegend() {
  const sides = new Set(model.categories.flatMap(category => category.sides ?? []));
  const words = { l: "left side of the body", r: "right side", "": "middle" };
  $("legend").replaceChildren(...Object.entries(words).filter(([side]) => sides.has("l") && sides.has(side)).map(([side, text]) => {
    const dot = element("span", { className: "dot" });
    dot.style.setProperty("--own", model.side_colours[side]);
    return element("li", {}, dot, text);
  }));
}

// Leaves nothing of the former photo: neither its camera, nor its request, nor its result.
function clear() {
  camera.stop();
  drop();
  photo = view = null;
  complain("");
  $("canvas").hidden = $("legend").hidden = true;
  $("empty").hidden = false;
  $("stage").classList.remove("full");
  return ++opened;
}

// Ends the request in progress and forgets the result.
function drop() {
  clearTimeout(timer);
  request?.abort();
  request = null;
  busy(false);
  showResult(null);
}

async function openPhoto(file, name) {
  const mine = clear();
  if (!file) { complain("This is no file with a photo."); return; }
  say("Reading the photo …");
  const reading = request = new AbortController();
  try {
    const read = await readPhoto(file, plain(name || file.name || "photo"), model?.limits, reading.signal);
    if (mine !== opened) return; // another photo was chosen meanwhile
    photo = read.photo;
    showPhoto(read);
  } catch (error) {
    if (mine === opened) complain(error instanceof ServiceError ? error.message : "The file cannot be read.");
    return;
  }
  await find();
}

function showPhoto({ picture, width, height }) {
  const canvas = $("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.style.setProperty("--ratio", width / height);
  view = { picture, width, height, found: [], colours: [], chosen: -1, joint: -1 };
  canvas.hidden = false;
  $("empty").hidden = true;
  $("stage").classList.add("full");
  redraw();
}

function settingsMoved() {
  $("reset").hidden = false;
  clearTimeout(timer);
  timer = setTimeout(find, PAUSE);
}

// Asks for the result of the photo with these settings. Only the newest request may show anything.
async function find() {
  clearTimeout(timer);
  if (!photo) return;
  if (!model) { // `start` comes back to the photo
    if (failure) complain(failure, true);
    return;
  }
  request?.abort();
  const mine = request = new AbortController();
  const limit = setTimeout(() => mine.abort(new DOMException("", "TimeoutError")), 1000 * (30 + 2 * model.limits.seconds));
  complain(""); say("Looking …"); busy(true);
  try {
    const answer = await predict(photo, movedSettings(sliders), mine.signal);
    if (mine === request) showResult(answer);
  } catch (error) {
    if (mine === request) showFailure(error);
  } finally {
    clearTimeout(limit);
    if (mine === request) { request = null; busy(false); }
  }
}

function busy(is) {
  $("stage").setAttribute("aria-busy", is);
  $("save").disabled = is || !dataset; // the result on the screen is of former settings until the answer comes
}

function showFailure(error) {
  showResult(null); // a result of other settings would look like the answer
  if (!(error instanceof ServiceError)) console.error(error);
  complain(error instanceof ServiceError ? error.message : "The page cannot show the answer.", error.again ?? false);
}

function showResult(answer) {
  dataset = answer;
  pinned = pointed = joint = -1;
  const found = answer?.annotations ?? [];
  if (view) {
    const image = answer?.images?.[0];
    view.found = found;
    if (image && (image.width !== view.width || image.height !== view.height)) throw new ServiceError(`The service reads this photo as ${image.width} x ${image.height} pixels, the browser as ${view.width} x ${view.height}.`);
    recolour();
  }
  showTable();
  showJoints();
  $("save").disabled = !answer;
  $("results").hidden = !answer;
  $("some").hidden = !found.length;
  $("none").hidden = found.length > 0;
  $("legend").hidden = !found.length || !$("legend").firstChild;
  $("by-tag").hidden = $("tags-help").hidden = found.length > 0 && !found[0].tag?.length; // models of one person have none
  if (answer) say(`${count(found.length)} found.`);
}

function count(number) {
  const name = model.categories.length === 1 ? plain(model.categories[0].name) : "";
  if (number === 1) return `1 ${name}`.trim();
  return PLURALS[name] ? `${number} ${PLURALS[name]}` : String(number);
}

function recolour() {
  view.colours = instanceColours(view.found, model?.palette ?? [], $("tags").checked);
  redraw();
}

function redraw() {
  draw($("canvas"), view, model);
  const number = view.found.length;
  $("canvas").setAttribute("aria-label", number ? `The photo with ${count(number)}` : "The photo");
}

function showTable() {
  const colours = view?.colours ?? [];
  $("list").replaceChildren(...(view?.found ?? []).map((a, i) => {
    const swatch = element("span", { className: "swatch" });
    swatch.style.setProperty("--own", colours[i]);
    const button = element("button", { type: "button" }, swatch, nameOf(a, i));
    button.setAttribute("aria-pressed", false);
    button.addEventListener("click", () => pin(i));
    button.addEventListener("focus", () => { if (button.matches(":focus-visible")) point(i); }); // by keys, not by a finger
    button.addEventListener("blur", () => point(-1));
    const name = element("th", { scope: "row" }, button);
    const row = element("tr", {}, name, element("td", {}, a.score.toFixed(2)), element("td", {}, measure(a)));
    row.addEventListener("pointerenter", event => { if (event.pointerType === "mouse") point(i); });
    row.addEventListener("pointerleave", () => point(-1));
    return row;
  }));
}

function measure(a) {
  if (a.segmentation) return `${a.area.toLocaleString("en")} px`;
  const seen = a.keypoints.filter((value, j) => j % 3 === 2 && value > 0 && value >= model.keypoint_score).length;
  return `${seen} of ${a.keypoints.length / 3}`;
}

// The names and places of the keypoints of the instance whose row was chosen.
function showJoints() {
  const a = view?.found[pinned];
  $("joints").hidden = !a?.keypoints;
  if (!a?.keypoints) return;
  $("joints-heading").textContent = `Points of ${nameOf(a, pinned)}`;
  $("joint-list").replaceChildren(...Array.from({ length: a.keypoints.length / 3 }, (_, j) => {
    const [x, y, score] = a.keypoints.slice(3 * j, 3 * j + 3), seen = score > 0 && score >= model.keypoint_score;
    const cells = seen ? [score.toFixed(2), x.toFixed(1), y.toFixed(1)] : ["not found", "", ""];
    const row = element("tr", {}, element("th", { scope: "row" }, jointName(a, j, model)), ...cells.map(text => element("td", {}, text)));
    row.addEventListener("pointerenter", event => { if (event.pointerType === "mouse") pointJoint(j); });
    row.addEventListener("pointerleave", () => pointJoint(-1));
    return row;
  }));
}

function nameOf(a, i) { return `${plain(model.byId.get(a.category_id)?.name ?? a.category_id)} ${i + 1}`; }

function point(i, j = -1) { pointed = i; joint = j; highlight(); }

function pointJoint(j) { joint = j; highlight(); }

function pin(i) { pinned = pinned === i ? -1 : i; showJoints(); highlight(); }

function highlight() {
  const chosen = pointed >= 0 ? pointed : pinned;
  [...$("list").rows].forEach((row, j) => {
    row.classList.toggle("on", j === chosen);
    row.querySelector("button").setAttribute("aria-pressed", j === pinned);
  });
  if (!view || (view.chosen === chosen && view.joint === joint)) return;
  view.chosen = chosen;
  view.joint = joint;
  redraw();
}

// Returns the instance under the pointer, and its keypoint within 14 pixels of the screen; -1 where there is none.
function under(event) {
  const box = $("canvas").getBoundingClientRect(), scale = view.width / box.width;
  const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale, i = instanceAt(x, y, view, model);
  return [i, jointAt(x, y, view.found[i], 14 * scale, model)];
}

function download() {
  if (!dataset) return;
  const named = { ...dataset, images: dataset.images?.map(image => ({ ...image, file_name: image.file_name || photo.name })) };
  const url = URL.createObjectURL(new Blob([JSON.stringify(named, null, 1)], { type: "application/json" }));
  element("a", { href: url, download: `${photo.name.replace(/\.[^.]*$/, "") || "found"}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000); // later: some browsers read it after the click
}

async function openExample() {
  $("file").focus(); // the button disappears
  const mine = clear();
  try {
    const answer = await fetch(`page/${model.example}`);
    if (!answer.ok) throw new Error(answer.status);
    const file = await answer.blob();
    if (mine === opened) await openPhoto(file, model.example);
  } catch {
    if (mine === opened) complain("The example cannot be loaded.");
  }
}

function openFirst(files) {
  const images = [...files].filter(file => file.type.startsWith("image/"));
  return openPhoto(images[0] ?? files[0]);
}

camera.connect({ $, clear, say, complain, openPhoto });
$("canvas").addEventListener("pointermove", event => { if (event.pointerType === "mouse") point(...under(event)); });
$("canvas").addEventListener("pointerleave", () => point(-1));
$("canvas").addEventListener("click", event => { const [i, j] = under(event); joint = j; pin(i >= 0 ? i : pinned); });
$("file").addEventListener("change", event => {
  const [file] = event.target.files;
  event.target.value = ""; // otherwise the same file, chosen again, would be no change
  if (file) openPhoto(file);
});
$("example").addEventListener("click", openExample);
$("again").addEventListener("click", () => { $("file").focus(); complain(""); return model ? find() : start(); }); // the button disappears
$("tags").addEventListener("change", () => { if (view) { recolour(); showTable(); highlight(); } });
$("save").addEventListener("click", download);
$("reset").addEventListener("click", () => {
  sliders.forEach(slider => slider.reset());
  $("more").querySelector("summary").focus(); // the button disappears
  $("reset").hidden = true;
  find();
});
for (const kind of ["dragenter", "dragover"]) addEventListener(kind, event => { event.preventDefault(); $("stage").classList.add("over"); });
addEventListener("dragleave", event => { if (!event.relatedTarget) $("stage").classList.remove("over"); });
addEventListener("drop", event => { event.preventDefault(); $("stage").classList.remove("over"); openFirst(event.dataTransfer.files); });
addEventListener("paste", event => { if (event.clipboardData.files.length) openFirst(event.clipboardData.files); });
start();
