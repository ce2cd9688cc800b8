// Reads the file of a photo into a picture to draw on.
import { pictureOf, ServiceError } from "./service.js";

const LONGEST_SIDE = 2048, SHORTEST_SIDE = 1024; // of the canvas: phones draw no larger ones, small photos look coarse

// Returns {photo, picture, width, height}: photo is {name, bytes, digest}, picture a canvas; the size is in pixels.
// limits: of the service, see page.py; undefined while they are not known.
export async function readPhoto(file, name, limits, signal) {
  if (limits && file.size > limits.bytes) { // before it is read: it may be a film
    throw new ServiceError(`The photo has ${megabytes(file.size)}; the service takes up to ${megabytes(limits.bytes)}.`);
  }
  // The bytes are read now: a file that changes on the disk later could not be sent any more.
  const photo = { name, bytes: await file.arrayBuffer(), digest: null };
  const bitmap = await decode(photo, file.type, signal), { width, height } = bitmap;
  const picture = scaled(bitmap);
  bitmap.close();
  if (limits && width * height > limits.pixels) {
    throw new ServiceError(`The photo has ${width} x ${height} pixels; the service takes up to ${Math.round(limits.pixels / 1e4) / 100} million.`);
  }
  return { photo, picture, width, height };
}

async function decode(photo, type, signal) {
  try { return await createImageBitmap(new Blob([photo.bytes], { type })); } catch { /* below */ }
  // Browsers show no TIFF, which microscopes write: the service sends what it reads.
  if (isTiff(new Uint8Array(photo.bytes.slice(0, 4)))) return createImageBitmap(await pictureOf(photo, signal));
  throw new ServiceError("The browser cannot show this file. Choose a JPEG, PNG, WebP or TIFF file.");
}

function isTiff(start) { return ["73,73,42,0", "77,77,0,42", "73,73,43,0", "77,77,0,43"].includes(start.join()); }

// Once, at the size of the canvas on the page: pointing at a result draws the photo again.
function scaled(bitmap) {
  const long = Math.max(bitmap.width, bitmap.height), scale = Math.min(LONGEST_SIDE / long, Math.max(1, SHORTEST_SIDE / long));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas;
}

export function megabytes(bytes) { return bytes < 2 ** 19 ? `${Math.ceil(bytes / 1024)} kB` : `${Math.round(bytes / 2 ** 19) / 2} MB`; }
