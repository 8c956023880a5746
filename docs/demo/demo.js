// The page: a photo, the classes that the model finds in it, and the evidence.

const SHOWN = 10;
const byId = (id) => document.getElementById(id);
// What is on the page. `model`: a session and the facts of its file. `file`: the
// photo that was chosen last. `seen`: a photo and the model's answer to it.
// `chosen`: the class whose evidence is shown, the class that it is compared
// with (or null), and which of the layers.
const state = { model: null, file: null, seen: null, chosen: null };

function say(message) {
  byId("message").textContent = message;
}

// The photo's middle, in so many pixels.
function middle(picture, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";  // Behind what is transparent.
  context.fillRect(0, 0, width, height);
  const scale = Math.min(picture.width / width, picture.height / height);
  const [w, h] = [width * scale, height * scale];
  context.drawImage(picture, (picture.width - w) / 2, (picture.height - h) / 2,
    w, h, 0, 0, width, height);
  return canvas;
}

function pixelsOf(picture, facts) {
  const [height, width] = sidesOf(facts);
  const channels = facts.image_shape[2];
  const rgba = middle(picture, width, height).getContext("2d")
    .getImageData(0, 0, width, height).data;
  const values = new Float32Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const [r, g, b] = rgba.subarray(4 * i);
    if (channels === 1) values[i] = 0.299 * r + 0.587 * g + 0.114 * b;
    else values.set([r, g, b], 3 * i);
  }
  return values;
}

async function explain(file) {
  const picture = await createImageBitmap(file).catch(() => { throw new Error(
    `${file.name} is no picture that this browser can read.`); });
  const { model } = state;
  const { logits, maps } = await answer(model, pixelsOf(picture, model.facts));
  // Another photo was chosen in the meantime, or another model.
  if (file !== state.file) return;
  const order = logits.map((_, c) => c).sort((a, b) => logits[b] - logits[a]);
  const shares = probabilitiesOf(logits, model.facts);
  state.seen = { picture, logits, maps, order, shares };
  byId("answer").hidden = false;
  showPhoto();
  byId("find").value = "";
  byId("find").placeholder =
    `Type to search ${order.length.toLocaleString("en")} classes`;
  fillRivals();
  byId("layer").max = maps.length - 1;
  byId("layers").hidden = maps.length === 1;
  byId("search").hidden = order.length <= SHOWN;
  say("");
  choose({ c: order[0], rival: null, layer: maps.length - 1 });
}

const nameOf = (c) => state.model.facts.class_names?.[c] ?? `class ${c}`;

// Changes what is shown: `c`, `rival` or `layer`.
function choose(change) {
  state.chosen = { ...state.chosen, ...change };
  // A class has nothing to say against itself.
  if (state.chosen.rival === state.chosen.c) state.chosen.rival = null;
  showBars();
  showView();
}

const percent = (share) =>
  share >= 0.0005 ? `${(100 * share).toFixed(1)}%` : "< 0.1%";

// The likeliest classes of those whose name has what is typed.
function showBars() {
  const { order, shares } = state.seen;
  const { c: chosen } = state.chosen;
  const typed = byId("find").value.trim().toLowerCase();
  const found = order.filter((c) => nameOf(c).toLowerCase().includes(typed));
  const shown = found.slice(0, SHOWN);
  if (!typed && !shown.includes(chosen)) shown.push(chosen);
  const focused = document.activeElement?.dataset.index;
  byId("bars").replaceChildren(...shown.map((c) => {
    const button = document.createElement("button");
    const [name, number, track, bar] = ["span", "span", "i", "b"].map(
      (tag) => document.createElement(tag));
    name.textContent = nameOf(c);
    number.textContent = percent(shares[c]);
    bar.style.width = `${100 * shares[c]}%`;
    track.append(bar);
    button.append(name, number, track);
    button.dataset.index = c;
    button.setAttribute("aria-pressed", c === chosen);
    return button;
  }));
  byId("bars").querySelector(`[data-index="${focused}"]`)?.focus();
  const more = found.length - shown.length;
  byId("more").textContent = !found.length ? "No class has this in its name."
    : more > 0 && typed ? `And ${more} more.` : "";
}

// The classes to compare with, the likeliest first.
function fillRivals() {
  const option = (text, value) => new Option(text, value);
  byId("rival").replaceChildren(option("the average class", ""),
    ...state.seen.order.map((c) => option(nameOf(c), c)));
}

// Draws what the model reads of the photo on a canvas, in its own colors.
function drawPhoto(canvas) {
  const { picture } = state.seen;
  const [height, width] = sidesOf(state.model.facts);
  canvas.height = Math.round(canvas.width * height / width);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(middle(picture, canvas.width, canvas.height), 0, 0);
  return context;
}

function showPhoto() {
  const { picture } = state.seen;
  const [height, width] = sidesOf(state.model.facts);
  drawPhoto(byId("own"));
  // A pixel more or less is no matter.
  const cut = Math.abs(picture.width / picture.height - width / height) > 0.01;
  byId("size").textContent = `The network reads ${width} x ${height} pixels`
    + (cut ? " from the middle of the photo." : ".");
}

const signed = (value) => (value < 0 ? "" : "+") + value.toFixed(2);

function showView() {
  const { logits, maps, order } = state.seen;
  const { c, rival, layer } = state.chosen;
  const { facts } = state.model;
  const view = byId("view");
  const context = drawPhoto(view);
  const map = evidence(maps[layer], c, rival);
  // A class with less evidence than the likeliest one looks like it.
  const most = Math.max(largest(map.values), rival === null
    ? largest(evidence(maps[layer], order[0], null).values) : 0);
  drawMap(context, map, most);

  const [name, other] = [nameOf(c), rival === null ? "" : nameOf(rival)];
  byId("heading").textContent = other
    ? `${name} against ${other}` : `Evidence for ${name}`;
  view.setAttribute("aria-label",
    `The photo in gray; in color, where it shows ${name}`);
  byId("least").textContent = other ? `for ${other}` : "less";
  byId("most").textContent = other ? `for ${name}` : "more";
  const last = layer === maps.length - 1;
  const less = rival === null
    ? logits.reduce((a, b) => a + b) / logits.length : logits[rival];
  byId("legend").textContent = (other
    ? `Orange places speak for ${name}, blue places for ${other}.`
    : `Orange places speak for ${name} more than for the average class, blue `
      + "places less.")
    + (last ? ` Together they make its score less ${other
      ? `that of ${other}` : "the average score"}: ${signed(logits[c] - less)}.`
      : "");
  byId("rival").value = rival ?? "";
  byId("layer").value = layer;
  byId("number").textContent
    = `Layer ${maps[layer].layer} of ${facts.layers.at(-1)}`;
  byId("layer").setAttribute("aria-valuetext", byId("number").textContent);
}

// Reports what fails, unless nobody waits for it any more.
async function doing(message, work, isAwaited = () => true) {
  say(message);
  await work().catch((error) => { if (isAwaited()) say(error.message); });
}

function lookAt(file) {
  state.file = file;
  return doing("Looking …", () => explain(file),
    () => file === state.file);
}

async function openFiles(files) {
  const file = files.find(({ name }) => name.endsWith(".onnx"));
  const facts = files.find(({ name }) => name.endsWith(".json"));
  if (!file || !facts) {
    const name = file?.name ?? "model.onnx";
    throw new Error(`Choose two files together: ${name} and ${name}.json, `
      + "which `keras-facnn export` writes beside it.");
  }
  const url = URL.createObjectURL(file);
  try {
    show(await openModel(file.name, url, await facts.text()));
  } finally {
    URL.revokeObjectURL(url);
  }
}

// Only an open model gets here, so that a file that fails leaves what was.
function show(model) {
  Object.assign(state, { model, file: null, seen: null, chosen: null });
  byId("answer").hidden = true;
  byId("photo").disabled = false;
  say("");
}

byId("photo").onchange = async ({ target }) => {
  if (target.files.length) await lookAt(target.files[0]);
  target.value = "";  // So that the same file can be chosen again.
};
byId("model").onchange = async ({ target }) => {
  const files = [...target.files];
  if (files.length) {
    await doing("Loading the model …", () => openFiles(files));
  }
  target.value = "";
};
byId("bars").onclick = ({ target }) => {
  const button = target.closest("button");
  if (!button) return;
  choose({ c: Number(button.dataset.index) });
  // On a phone it may be out of sight.
  byId("view").scrollIntoView({ block: "nearest" });
};
byId("find").oninput = showBars;
byId("find").onkeydown = ({ key }) => {
  if (key === "Enter") byId("bars").querySelector("button")?.click();
};
byId("rival").onchange = ({ target }) => choose(
  { rival: target.value === "" ? null : Number(target.value) });
byId("layer").oninput = ({ target }) => choose(
  { layer: Number(target.value) });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && state.model) lookAt(file);
});
byId("scale").style.background = scaleColors();

runtime.then(async () => {
  const response = await fetch("model.onnx.json");
  if (!response.ok) throw new Error("there is no model.onnx.json.");
  show(await openModel("model.onnx", "model.onnx", await response.text()));
  const photo = await fetch("photo.jpg");
  if (!photo.ok) return;
  const file = new File([await photo.blob()], "photo.jpg");
  if (!state.file) lookAt(file);
}).catch((error) => runtime.then(
  () => say(`Choose a model below. Beside this page, ${error.message}`),
  () => say(error.message)));
