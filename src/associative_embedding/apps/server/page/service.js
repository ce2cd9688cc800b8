// Asks the service, and turns every kind of failure into one line.

export class ServiceError extends Error {
  // text: one line for the person; again: whether the same request may succeed later.
  constructor(text, again = false) { super(text); this.again = again; }
}

const PROXY = "A proxy in front of the service";
const STATUS = {
  401: `${PROXY} asks for a login. Load this page again`,
  403: `${PROXY} does not let this request through`,
  404: `${PROXY} does not know the address of the service`,
  408: "The photo took too long to arrive",
  413: `${PROXY} refuses the photo as too large. Choose a smaller one`,
  429: `${PROXY} has too many requests at once. Wait a moment`,
  502: `${PROXY} does not reach it: it may be starting, or stopped`,
  503: `${PROXY} says that it is not available now`,
  504: `${PROXY} waited too long for its answer`,
};
const MAY_PASS = [408, 429, 500, 502, 503, 504];

export async function describeModel() {
  return readJson(await send("page/model.json", { cache: "no-store" }));
}

// Returns the COCO dataset of a photo: {bytes, digest}. A photo that the service has answered before is not sent again:
// its digest, which came with the answer, stands for it as long as the service keeps the photo.
export async function predict(photo, settings, signal) {
  if (photo.digest) {
    const query = new URLSearchParams({ ...settings, image: photo.digest });
    const answer = await send(`predict?${query}`, { method: "POST", signal });
    if (answer.status !== 404) return readDataset(answer);
    photo.digest = null; // the service has forgotten it
  }
  const answer = await upload(photo, settings, signal);
  const dataset = await readDataset(answer);
  photo.digest = answer.headers.get("X-Image");
  return dataset;
}

// Returns the photo as the service reads it, without results: scores stay below 1.
export async function pictureOf(photo, signal) {
  const answer = await upload(photo, { format: "picture", min_score: 1 }, signal);
  if (!answer.ok) await readJson(answer); // always throws
  photo.digest = answer.headers.get("X-Image");
  return answer.blob();
}

function upload(photo, settings, signal) {
  // Not the type of the file: the service reads forms and json in another way.
  const headers = { "Content-Type": "application/octet-stream" };
  return send(`predict?${new URLSearchParams(settings)}`, { method: "POST", body: photo.bytes, headers, signal });
}

async function send(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    throw connectionError(error);
  }
}

function connectionError(error) {
  if (error.name === "AbortError") return error;
  if (error.name === "TimeoutError") return new ServiceError("The service did not answer in time.", true);
  return new ServiceError(navigator.onLine ? "The service does not answer. It may be stopped." : "This device is offline.", true);
}

async function readDataset(answer) {
  const dataset = await readJson(answer);
  if (!Array.isArray(dataset?.annotations)) throw new ServiceError("The answer is no result of this service.");
  return dataset;
}

async function readJson(answer) {
  let text;
  try { text = await answer.text(); } catch (error) { throw connectionError(error); }
  let value;
  // Not by the media type: a proxy may change that, too.
  try { value = JSON.parse(text); } catch { value = undefined; }
  if (answer.ok && value !== undefined) return value;
  throw new ServiceError(refusal(answer, value), MAY_PASS.includes(answer.status));
}

function refusal(answer, value) {
  const detail = value?.detail;
  // FastAPI's own checks return a list of objects.
  const text = typeof detail === "string" ? detail : Array.isArray(detail) ? detail.map(part => part?.msg).join("; ") : "";
  if (text) return sentence(text);
  if (answer.ok) return `${PROXY} answered with something else than a result (status ${answer.status}).`;
  return `${STATUS[answer.status] ?? "The service failed"} (status ${answer.status}).`;
}

function sentence(text) {
  const line = plain(text, 300);
  return line.charAt(0).toUpperCase() + line.slice(1) + (/[.!?]$/.test(line) ? "" : ".");
}

// Returns a text of foreign origin as one line, without characters that control the direction or the terminal.
export function plain(text, longest = 60) {
  const line = String(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
  const letters = Array.from(line);
  return letters.length > longest ? `${letters.slice(0, longest).join("")}…` : line;
}
