
const SHOWN = 10;
const element = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const made = (name, text, more = {}) => Object.assign(document.createElement(name), { textContent: text }, more);

function show(text, isWarning) {
  element("answer").textContent = text;
  element("answer").className = isWarning ? "no" : "";
}

// Labels may be of any script and direction.
function bars(top) {
  element("bars").replaceChildren(...top.map(([label, probability]) => {
    const row = made("li"), bar = made("progress", "", { max: 1, value: probability });
    bar.setAttribute("aria-hidden", "true");
    row.append(made("bdi", label), made("span", percent(probability)), bar);
    return row;
  }));
}

function preview(bitmap) {
  const canvas = element("picture"), scale = Math.min(1, 1024 / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, bitmap.width * scale);
  canvas.height = Math.max(1, bitmap.height * scale);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
}

let latest;

async function answer(classifier, image) {
  latest = image;
  try {
    const { label, probability, top, accepted } = await classifier.classify(image, { topK: SHOWN });
    const bitmap = await createImageBitmap(image);
    if (latest !== image) return;
    preview(bitmap);
    bars(top);
    const found = `\u2068${label}\u2069, ${percent(probability)}`;
    show(accepted === false ? `Not accepted: the model does not know. Likeliest: ${found}` : found, accepted === false);
  } catch (error) {
    if (latest !== image) return;
    element("picture").hidden = true;
    bars([]);
    show(error.message, true);
  }
}

function card({ labels, image, version, provenance, decision, licences, golden }) {
  const { data = {}, figures = {}, checkpoint } = provenance;
  const list = (items) => items.slice(0, 100).join(", ") + (items.length > 100 ? ", …" : "");
  const rows = {
    Labels: `${labels.length}: ${list(labels)}`,
    Image: `${image.width} × ${image.height} pixels, ${image.color === "L" ? "grey" : "colour"}, fit: ${image.fit}`,
    "Trained on": [data.name, data.train_images && `${data.train_images} images`].filter(Boolean).join(", "),
    "Accuracy on test images": Number.isFinite(figures.test_accuracy) && percent(figures.test_accuracy),
    "Accepted from": decision?.thresholds?.map(({ label, probability, max_error }) =>
      `${percent(probability)}${label === null ? "" : ` of ${label}`}, for at most ${percent(max_error)} errors`).join("; "),
    Licences: Array.isArray(licences) && licences.map(({ part, licence }) => `${part}: ${licence}`).join("; "),
    Checkpoint: checkpoint,
    Format: `${version}, ${golden.examples} golden examples`,
  };
  for (const [name, text] of Object.entries(rows)) if (text) element("card").append(made("dt", name), made("dd", text));
  if (typeof data.name === "string") {
    document.title = `${data.name}: image classifier`;
    element("title").textContent = document.title;
  }
  element("about").textContent = `Softmax regression, ${labels.length} labels. Runs here: no image leaves this page.`;
}

function listen(classify) {
  const inputs = element("inputs"), file = element("file");
  const first = ({ files }) => files[0] && classify(files[0]);
  file.onchange = () => first(file);
  document.onpaste = (event) => first(event.clipboardData);
  document.ondragover = (event) => { event.preventDefault(); inputs.classList.add("over"); };
  document.ondragleave = () => inputs.classList.remove("over");
  document.ondrop = (event) => { event.preventDefault(); inputs.classList.remove("over"); first(event.dataTransfer); };
}

function watch(classify) {
  const button = element("camera"), video = element("video");
  button.hidden = !navigator.mediaDevices;
  button.onclick = async () => {
    try {
      if (video.hidden) {
        video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        await video.play();
      } else {
        classify(await createImageBitmap(video));
        video.srcObject.getTracks().forEach((track) => track.stop());
      }
      video.hidden = !video.hidden;
      button.textContent = video.hidden ? "Open the camera" : "Take the picture";
    } catch (error) {
      show(`expected a camera, found: ${error.message}: allow it in the browser, or choose a file`, true);
    }
  };
}

async function start() {
  const text = element("selftest");
  try {
    const model = Uint8Array.from(atob(element("model").textContent), (letter) => letter.charCodeAt(0));
    const classifier = await load(model);
    globalThis.classifier = classifier;
    card(classifier.info());
    show("No image yet");
    listen((image) => answer(classifier, image));
    watch((image) => answer(classifier, image));
    const { examples, tolerance } = classifier.info().golden, difference = await classifier.selftest();
    text.textContent = `Self-test passed: ${examples} golden examples, largest difference ${difference.toPrecision(2)}, `
      + `at most ${tolerance} allowed.`;
  } catch (error) {
    show(error instanceof KitError ? error.message : "expected a whole page, found a damaged one: copy it again", true);
    text.textContent = "Self-test failed.";
  }
}

if (globalThis.document) start();
