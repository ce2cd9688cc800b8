// Runs Google's MoveNet models and writes COCO results; benchmarks/movenet.py describes the use.
//
//   node movenet.mjs MODEL.json QUESTIONS.json RESULTS.json [SIZE]
//
// QUESTIONS is a list of {image_id, file, region}. The region [x, y, width, height] in whole pixels is the part of the
// image to use; it may reach beyond the image, and without it the whole image is used. Lightning and Thunder (one
// person; its score is the mean of the keypoints' scores) get it in a square of fixed size. MultiPose (six people, each
// with a score) gets it with SIZE pixels on its longer side, by default 256, and both sides padded to multiples of 32.

import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url); // finds packages by NODE_PATH, which `import` does not
const sharp = require("sharp");
const tf = require("@tensorflow/tfjs-core");
const { loadGraphModel } = require("@tensorflow/tfjs-converter");
const { setThreadsCount } = require("@tensorflow/tfjs-backend-wasm");

const KEYPOINTS = 17;
const PERSON = 56; // numbers a person in MultiPose's output: y, x, score of each keypoint, a box, its score

async function loadModel(path) {
  const { modelTopology, weightsManifest, signature } = JSON.parse(readFileSync(path, "utf8"));
  const shards = weightsManifest.flatMap((group) => group.paths);
  const bytes = Buffer.concat(shards.map((name) => readFileSync(join(dirname(path), name))));
  const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  return loadGraphModel({ load: async () => ({ modelTopology, weightSpecs, weightData, signature }) });
}

// Returns the sides w, h of the input, its corner x, y in the image, and the image pixels per input pixel (step).
function frame([x, y, width, height], fixed, size) {
  const longer = Math.max(width, height);
  if (fixed) {
    return { x: x - (longer - width) / 2, y: y - (longer - height) / 2, w: fixed, h: fixed, step: longer / fixed };
  }
  const step = longer / size;
  const [w, h] = [width, height].map((side) => 32 * Math.ceil(Math.round(side / step) / 32));
  return { x, y, w, h, step };
}

// Returns the input. Bilinear without smoothing, as in Google's own code; black beyond the image.
function crop({ data, info: { width, height } }, { x, y, w, h, step }) {
  const [right, bottom] = [x + (w - 1) * step, y + (h - 1) * step]; // the last pixels
  const box = [y / (height - 1), x / (width - 1), bottom / (height - 1), right / (width - 1)];
  return tf.tidy(() => {
    const image = tf.tensor4d(new Int32Array(data), [1, height, width, 3], "int32");
    return tf.cast(tf.image.cropAndResize(image, [box], [0], [h, w], "bilinear", 0), "int32");
  });
}

// Returns the people of a model's output as COCO results without an image id.
function people(numbers, { x, y, w, h, step }) {
  const single = numbers.length === 3 * KEYPOINTS;
  const found = [];
  for (let start = 0; start < numbers.length; start += PERSON) {
    const keypoints = [];
    let sum = 0;
    for (let i = start; i < start + 3 * KEYPOINTS; i += 3) {
      keypoints.push(x + numbers[i + 1] * w * step, y + numbers[i] * h * step, numbers[i + 2]);
      sum += numbers[i + 2];
    }
    found.push({ category_id: 1, keypoints, score: single ? sum / KEYPOINTS : numbers[start + PERSON - 1] });
  }
  return found;
}

async function main(modelPath, questionsPath, resultsPath, size = "256") {
  setThreadsCount(1);
  await tf.setBackend("wasm");
  const model = await loadModel(modelPath);
  const fixed = Math.max(0, model.inputs[0].shape[1]); // MultiPose's is -1
  const results = [];
  const times = [];
  for (const { image_id, file, region } of JSON.parse(readFileSync(questionsPath, "utf8"))) {
    const image = await sharp(file).toColourspace("srgb").removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const place = frame(region ?? [0, 0, image.info.width, image.info.height], fixed, Number(size));
    const input = crop(image, place);
    const start = performance.now();
    const output = model.execute(input);
    const numbers = output.dataSync();
    times.push(performance.now() - start);
    results.push(...people(numbers, place).map((person) => ({ image_id, ...person })));
    tf.dispose([input, output]);
  }
  writeFileSync(resultsPath, JSON.stringify(results));
  const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  console.error(`${resultsPath}: ${times.length} regions, median ${median.toFixed(0)} ms`);
}

await main(...process.argv.slice(2));
