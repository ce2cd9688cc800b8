// The camera: one stream at most, and none that nobody sees.

const FAILURES = {
  NotAllowedError: "The browser does not allow the camera. Allow it in the settings of this page.",
  NotFoundError: "There is no camera.",
  NotReadableError: "Another program uses the camera.",
};

// asked: counts the times that the camera was asked for or stopped; a stream that comes too late is ended at once.
let page = null, stream = null, asked = 0;

export const camera = { connect, stop };

// page: {$, clear, say, complain, openPhoto}, of page.js.
function connect(functions) {
  page = functions;
  if (!navigator.mediaDevices?.getUserMedia) return; // outside of https and localhost the button stays hidden
  page.$("camera").hidden = false;
  page.$("camera").addEventListener("click", () => stream ? page.clear() : open());
  page.$("shoot").addEventListener("click", shoot);
  page.$("video").addEventListener("loadeddata", () => { page.$("shoot").disabled = false; page.$("shoot").focus(); });
  addEventListener("keydown", event => { if (event.key === "Escape" && stream) { page.clear(); page.$("camera").focus(); } });
  addEventListener("pagehide", stop);
}

async function open() {
  page.clear();
  const mine = ++asked;
  let opened;
  page.say("Waiting for the camera …");
  try {
    opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    if (mine === asked) page.complain(FAILURES[error.name] ?? "The camera cannot be used.");
    return;
  }
  if (mine !== asked) { end(opened); return; }
  stream = opened;
  stream.getVideoTracks()[0].addEventListener("ended", () => { if (stream === opened) { page.clear(); page.complain("The camera stopped."); } });
  show(true);
  page.say("");
}

function show(is) {
  const { $ } = page;
  $("video").srcObject = is ? stream : null;
  if (is) $("video").play().catch(() => {}); // interrupted by `stop`: nothing to do
  $("video").hidden = $("shoot").hidden = !is;
  $("empty").hidden = is;
  $("stage").classList.toggle("full", is);
  $("camera").textContent = is ? "Stop the camera" : "Use the camera";
}

function stop() {
  asked++;
  if (!stream) return;
  end(stream);
  stream = null;
  page.$("shoot").disabled = true;
  show(false);
}

function end(media) { media.getTracks().forEach(track => track.stop()); }

function shoot() {
  const { $ } = page, still = document.createElement("canvas");
  still.width = $("video").videoWidth;
  still.height = $("video").videoHeight;
  still.getContext("2d").drawImage($("video"), 0, 0);
  $("camera").focus(); // the button of the picture disappears
  still.toBlob(blob => page.openPhoto(blob, "camera.jpg"), "image/jpeg", .95);
}
