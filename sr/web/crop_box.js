// Run by gr.HTML of crop_box.py, which gives `element`, `props`, `trigger` and `watch`.
const find = (selector) => element.querySelector(selector);
const limit = (value, least, most) => Math.min(Math.max(value, least), Math.max(most, least));
const read = () => (props.value || "0,0,1,1").split(",").map(Number);
let drag = null;

function draw(box) {
  const [left, top, width, height] = box, style = find(".box").style;
  style.left = 100 * left / props.full_width + "%";
  style.top = 100 * top / props.full_height + "%";
  style.width = 100 * width / props.full_width + "%";
  style.height = 100 * height / props.full_height + "%";
  if (element.contains(document.activeElement) && !drag) return;  // a key's own slider moves it
  find("[name=left]").value = 100 * left / Math.max(props.full_width - width, 1);
  find("[name=top]").value = 100 * top / Math.max(props.full_height - height, 1);
  find("[name=side]").value = Math.max(width, height);
}
function clamp([left, top, width, height]) {
  width = Math.min(limit(Math.round(width), props.least, props.most), props.full_width);
  height = Math.min(limit(Math.round(height), props.least, props.most), props.full_height);
  left = limit(Math.round(left), 0, props.full_width - width);
  top = limit(Math.round(top), 0, props.full_height - height);
  return [left, top, width, height];
}
function locate(event) {
  const image = find(".area img").getBoundingClientRect();
  return [(event.clientX - image.left) / image.width * props.full_width,
          (event.clientY - image.top) / image.height * props.full_height];
}
element.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".area") || event.button) return;
  const [x, y] = locate(event), old = read();
  const moves = event.target.matches(".box");
  const there = [x - old[2] / 2, y - old[3] / 2, old[2], old[3]];
  drag = {x, y, old, moves, box: moves ? old : clamp(there)};
  event.target.setPointerCapture(event.pointerId);
  if (event.pointerType === "mouse") event.preventDefault();
  draw(drag.box);
});
element.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [x, y] = locate(event), [left, top, width, height] = drag.old;
  if (drag.moves) {
    drag.box = clamp([left + x - drag.x, top + y - drag.y, width, height]);
  } else if (Math.hypot(x - drag.x, y - drag.y) > props.least / 4) {
    const corner = [Math.min(x, drag.x), Math.min(y, drag.y)];
    drag.box = clamp([...corner, Math.abs(x - drag.x), Math.abs(y - drag.y)]);
  }
  draw(drag.box);
});
element.addEventListener("pointerup", () => {
  if (!drag) return;
  props.value = drag.box.join(",");
  drag = null;
  trigger("select");
});
element.addEventListener("pointercancel", () => { drag = null; draw(read()); });
element.addEventListener("input", (event) => {
  const side = Number(find("[name=side]").value);
  const [, , width, height] = clamp([0, 0, side, side]);
  const box = clamp([find("[name=left]").value / 100 * (props.full_width - width),
                     find("[name=top]").value / 100 * (props.full_height - height), width, height]);
  event.stopPropagation();
  props.value = box.join(",");
  draw(box);
});
watch(["value", "image"], () => draw(read()));
draw(read());
