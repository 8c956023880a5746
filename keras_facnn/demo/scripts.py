"""JavaScript of the page's components."""

# The photo is part of the request that asks for its maps, so the server never
# keeps it as a file. The answer empties the value. A photo that is chosen
# earlier waits for that.
DROP_PHOTO = """
const [input, refusal] = element.querySelectorAll("input, [role=alert]");
const zone = element.querySelector("label");
let next = null;
const send = (url) => {
  if (props.value) next = url;
  else props.value = url;
  trigger("upload");
};
watch("value", () => {
  if (props.value || !next) return;
  const url = next;
  next = null;
  send(url);
});
const take = (file) => {
  refusal.hidden = true;
  const refuse = (text) => {
    refusal.textContent = text;
    refusal.hidden = false;
  };
  if (file.size > Number(zone.dataset.most)) {
    refuse(zone.dataset.refusal);
    return;
  }
  const reader = new FileReader();
  reader.onload = () => send(reader.result);
  reader.onerror = () => refuse("The browser cannot read this file.");
  reader.readAsDataURL(file);
};
input.addEventListener("change", () => {
  if (input.files.length) take(input.files[0]);
  // So that the same file can be chosen again.
  input.value = "";
});
zone.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("fa-over");
});
zone.addEventListener("dragleave", () => zone.classList.remove("fa-over"));
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("fa-over");
  if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
});
"""
# The time makes the value change when the same sample is clicked again.
PICK_SAMPLE = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (!button) return;
  props.value = button.dataset.index + " " + Date.now();
  trigger("click");
});
"""
# Mark the bar that was clicked as pressed, and show the map, which may be out
# of sight on a phone. Select the name in a list of classes, so that typing
# starts a search instead of making the name longer.
PRESS_BAR = """
const select = ({target}) => {
  if (target.matches("#fa-class input, #fa-rival input")) target.select();
};
document.addEventListener("focusin", select);
document.addEventListener("click", select);
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-index]");
  if (!button) return;
  for (const other of element.querySelectorAll("button[data-index]"))
    other.setAttribute("aria-pressed", other === button);
  document.querySelector("#fa-view").scrollIntoView({block: "nearest"});
  trigger("click");
});
"""
# The class of the bar that is pressed.
PRESSED_BAR = """
() => Number(
  document.querySelector("#fa-bars [aria-pressed=true]").dataset.index
)
"""
