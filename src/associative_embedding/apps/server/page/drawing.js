// Draws skeletons and masks over a photo, like the package's own pictures (drawing/skeletons.py, drawing/masks.py).

import { plain } from "./service.js";

const RIM = "#101014", FAINT = .2, FILL = .35, MANY = 30;

// The colour of each instance: the palette's, or by tag, where similar colours mean similar tags.
export function instanceColours(found, palette, byTag) {
  const size = Math.min(...found.map(a => a.tag?.length ?? 0));
  if (!byTag || !found.length || !size) return found.map((_, i) => palette[i % palette.length]);
  // The first tag dimension becomes the hue, the second one the lightness, each stretched to the range in this photo.
  const ranges = [0, 1].map(d => found.reduce(([low, high], a) => [Math.min(low, a.tag[d]), Math.max(high, a.tag[d])], [Infinity, -Infinity]));
  const at = (a, d) => d < size && ranges[d][1] > ranges[d][0] ? (a.tag[d] - ranges[d][0]) / (ranges[d][1] - ranges[d][0]) : .5;
  return found.map(a => `hsl(${Math.round(300 * at(a, 0))} 90% ${Math.round(45 + 25 * at(a, 1))}%)`);
}

// Draws a view: {picture, width, height, found, colours, chosen, joint}; width and height in image pixels; joint: index of a
// keypoint of the chosen instance whose name is written, or -1. `model`: see page.py.
export function draw(canvas, view, model) {
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.globalAlpha = 1;
  // White first: a transparent photo would show what was drawn before, and the service puts it on white as well.
  pen.fillStyle = "#fff"; pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(view.picture, 0, 0, canvas.width, canvas.height);
  pen.setTransform(canvas.width / view.width, 0, 0, canvas.height / view.height, 0, 0);
  // The highest score is first in the list and drawn last, on top; the chosen instance is above all others.
  const order = [...view.found.keys()].reverse().sort((a, b) => (a === view.chosen) - (b === view.chosen));
  for (const i of order) {
    const a = view.found[i], chosen = i === view.chosen;
    pen.globalAlpha = view.chosen < 0 || chosen ? 1 : FAINT;
    if (a.segmentation) pen.drawImage(maskLayer(a, view.colours[i], chosen, view), a.bbox[0], a.bbox[1]);
    else drawSkeleton(pen, a, view.colours[i], view, model);
  }
  for (const i of order) if (i === view.chosen || (view.chosen < 0 && isNumbered(view, view.found[i]))) drawNumber(pen, i, view);
  if (view.joint >= 0 && view.found[view.chosen]?.keypoints) drawJoint(pen, view, model);
  pen.globalAlpha = 1;
}

function isNumbered(view, a) { return a.keypoints && view.found.length > 1 && view.found.length <= MANY; }

function seenPoints(a, least) {
  const points = [];
  for (let j = 0; j < a.keypoints.length; j += 3) {
    const [x, y, score] = a.keypoints.slice(j, j + 3);
    points.push(score > 0 && score >= least ? [x, y] : null);
  }
  return points;
}

function drawSkeleton(pen, a, colour, view, model) {
  const category = model.byId.get(a.category_id), points = seenPoints(a, model.keypoint_score), seen = points.filter(Boolean);
  if (!seen.length) return;
  const [x0, y0, x1, y1] = boxOf(seen), scale = Math.sqrt(view.width * view.height);
  // Half the width of a limb; it grows with the person, within bounds that grow with the photo.
  const radius = clamp(.0075 * Math.hypot(x1 - x0, y1 - y0) + .0014 * scale, .0017 * scale, .0045 * scale + 1);
  const rim = .4 * radius;
  pen.lineCap = "round";
  for (const [paint, width] of [[RIM, radius + rim], [colour, radius]]) { // all rims first: none cuts a limb
    pen.strokeStyle = paint; pen.lineWidth = 2 * width; pen.beginPath();
    for (const [p, q] of category?.edges ?? []) if (points[p] && points[q]) { pen.moveTo(...points[p]); pen.lineTo(...points[q]); }
    pen.stroke();
  }
  points.forEach((point, j) => {
    if (!point) return;
    for (const [paint, r] of [[RIM, 1.45 * radius + rim], [model.side_colours[category?.sides?.[j] ?? ""], 1.45 * radius]]) {
      pen.fillStyle = paint; pen.beginPath(); pen.arc(...point, r, 0, 2 * Math.PI); pen.fill();
    }
  });
}

// Writes the row of the table beside an instance, in a disc of its colour.
function drawNumber(pen, i, view) {
  const a = view.found[i], size = .032 * Math.sqrt(view.width * view.height);
  const [x0, y0, w] = a.bbox, x = clamp(x0 + w / 2, size, view.width - size), y = clamp(y0 - 1.3 * size, size, view.height - size);
  pen.globalAlpha = 1;
  pen.fillStyle = RIM; pen.beginPath(); pen.arc(x, y, size * .92, 0, 2 * Math.PI); pen.fill();
  pen.fillStyle = view.colours[i]; pen.beginPath(); pen.arc(x, y, size * .8, 0, 2 * Math.PI); pen.fill();
  pen.fillStyle = RIM; pen.font = `700 ${size * (i < 9 ? 1.1 : i < 99 ? .9 : .65)}px system-ui, sans-serif`;
  pen.textAlign = "center"; pen.textBaseline = "middle"; pen.fillText(i + 1, x, y + size * .06);
}

// Rings a keypoint of the chosen instance, and writes its name beside it, inside of the photo.
function drawJoint(pen, view, model) {
  const a = view.found[view.chosen], point = seenPoints(a, model.keypoint_score)[view.joint];
  if (!point) return;
  const size = .028 * Math.sqrt(view.width * view.height), [x, y] = point, text = jointName(a, view.joint, model);
  for (const [paint, width] of [[RIM, .26], ["#fff", .12]]) {
    pen.strokeStyle = paint; pen.lineWidth = width * size; pen.beginPath(); pen.arc(x, y, .55 * size, 0, 2 * Math.PI); pen.stroke();
  }
  pen.font = `600 ${size}px system-ui, sans-serif`;
  const wide = pen.measureText(text).width + .8 * size, left = clamp(x + size, 0, Math.max(0, view.width - wide));
  const top = clamp(y - 2.2 * size, 0, Math.max(0, view.height - 1.6 * size));
  pen.fillStyle = RIM; pen.fillRect(left, top, wide, 1.6 * size);
  pen.fillStyle = "#fff"; pen.textAlign = "left"; pen.textBaseline = "middle"; pen.fillText(text, left + .4 * size, top + .85 * size);
}

// Returns the name of a keypoint in words, "left wrist".
export function jointName(a, j, model) {
  return plain(model.byId.get(a.category_id)?.keypoints?.[j] ?? `point ${j + 1}`).replaceAll("_", " ");
}

// Returns a canvas with the mask of an instance in its box; kept, because pointing at a row draws all masks again.
function maskLayer(a, colour, chosen, view) {
  const key = `${colour} ${chosen}`;
  if (a.layer?.key === key) return a.layer.canvas;
  const [x0, y0, w, h] = a.bbox, edge = Math.max(1, Math.round(Math.sqrt(view.width * view.height) / 500));
  const canvas = document.createElement("canvas"); canvas.width = Math.max(1, w); canvas.height = Math.max(1, h);
  const pen = canvas.getContext("2d"), pixels = pen.createImageData(canvas.width, canvas.height);
  const [red, green, blue] = rgb(pen, colour), inside = maskOf(a);
  for (let y = 0, at = 0; y < h; y++) for (let x = 0; x < w; x++, at += 4) {
    if (!inside(x0 + x, y0 + y)) continue;
    const border = ![[edge, 0], [-edge, 0], [0, edge], [0, -edge]].every(([dx, dy]) => inside(x0 + x + dx, y0 + y + dy));
    pixels.data.set([red, green, blue, 255 * (border ? 1 : chosen ? 2 * FILL : FILL)], at);
  }
  pen.putImageData(pixels, 0, 0);
  Object.defineProperty(a, "layer", { value: { key, canvas }, configurable: true }); // not enumerable: not downloaded
  return canvas;
}

function rgb(pen, colour) {
  pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
  const data = pen.getImageData(0, 0, 1, 1).data;
  pen.clearRect(0, 0, 1, 1);
  return data;
}

// Returns the lengths of COCO's compressed runs, outside and inside in turn; structures/run_lengths.py explains the format.
function runLengths(counts) {
  const runs = [];
  for (let i = 0; i < counts.length;) {
    let value = 0, shift = 0, code;
    do { code = counts.charCodeAt(i++) - 48; value |= (code & 31) << shift; shift += 5; } while (code & 32);
    if (code & 16) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

// Returns the pixels of a mask in its box, column by column: hundreds of whole masks would fill the memory of a phone.
export function maskPixels({ counts, size: [height] }, [left, top, width, boxHeight]) {
  const pixels = new Uint8Array(width * boxHeight);
  let at = 0;
  runLengths(counts).forEach((run, k) => {
    const end = at + run;
    if (k % 2 === 0) at = end;
    while (at < end) { // a run may go on in the next column
      const y = at % height, x = (at - y) / height, part = Math.min(end - at, height - y), from = (x - left) * boxHeight + y - top;
      pixels.fill(1, from, from + part);
      at += part;
    }
  });
  return pixels;
}

// Returns the function (x, y) -> whether the pixel belongs to the instance.
function maskOf(a) {
  if (!a.inside) {
    const [left, top, width, height] = a.bbox, pixels = maskPixels(a.segmentation, a.bbox);
    const inside = (x, y) => x >= left && y >= top && x < left + width && y < top + height && pixels[(x - left) * height + y - top] === 1;
    Object.defineProperty(a, "inside", { value: inside });
  }
  return a.inside;
}

// Returns the index of the instance at a point in image pixels, or -1.
export function instanceAt(x, y, view, model) {
  let best = -1, least = Infinity;
  view.found.forEach((a, i) => {
    // Keypoints lie on the border of their box, and a pointer should not have to meet them exactly.
    const [bx, by, w, h] = a.bbox, margin = a.segmentation ? 0 : .1 * Math.max(w, h);
    if (x < bx - margin || y < by - margin || x > bx + w + margin || y > by + h + margin) return;
    const distance = a.segmentation
      ? maskOf(a)(Math.floor(x), Math.floor(y)) ? 0 : Infinity
      : Math.min(...seenPoints(a, model.keypoint_score).filter(Boolean).map(([px, py]) => Math.hypot(px - x, py - y)));
    if (distance < least) { best = i; least = distance; }
  });
  return best;
}

// Returns the index of the keypoint of an instance that is nearest to a point, at most `reach` image pixels away, or -1.
export function jointAt(x, y, a, reach, model) {
  let best = -1, least = reach;
  if (a?.keypoints) seenPoints(a, model.keypoint_score).forEach((point, j) => {
    const distance = point ? Math.hypot(point[0] - x, point[1] - y) : Infinity;
    if (distance <= least) { best = j; least = distance; }
  });
  return best;
}

function boxOf(points) {
  const xs = points.map(p => p[0]), ys = points.map(p => p[1]);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function clamp(value, low, high) { return Math.max(low, Math.min(value, high)); }
