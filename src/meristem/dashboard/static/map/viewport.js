// Moves and scales a drawing: by dragging, wheel, two fingers, and by keys.

const LEAST = 0.15;
const BUTTONS = 52; // beside the drawing, so that they cover none of it
const LEGIBLE = 0.62; // below it nobody can read the names: then the beginning is shown, not all
const MOST = 2.5;
const STEP = 1.25;

/** @param {HTMLElement} drawing @param {HTMLElement} inner @param {AbortSignal} signal */
export function viewport(drawing, inner, signal) {
  let [x, y, scale] = [0, 0, 1];
  let size = { wide: 1, high: 1 };
  let fitted = true;
  const apply = () => (inner.style.transform = `translate(${x.toFixed(2)}px, ${y.toFixed(2)}px) scale(${scale.toFixed(4)})`);
  const zoom = (factor, at = { x: drawing.clientWidth / 2, y: drawing.clientHeight / 2 }) => {
    const next = Math.max(LEAST, Math.min(MOST, scale * factor));
    x = at.x - ((at.x - x) * next) / scale;
    y = at.y - ((at.y - y) * next) / scale;
    scale = next;
    fitted = false;
    apply();
  };
  const move = (right, down) => {
    x += right;
    y += down;
    fitted = false;
    apply();
  };
  const fit = () => {
    const [wide, high] = [drawing.clientWidth - BUTTONS, drawing.clientHeight];
    if (wide <= 0 || !high) return;
    scale = Math.max(LEAST, Math.min(1.15, wide / size.wide, high / size.high));
    x = (wide - size.wide * scale) / 2;
    y = (high - size.high * scale) / 2;
    fitted = true;
    apply();
  };
  /** Bring a place of the drawing into sight. */
  const reveal = (place) => {
    const [left, top] = [place.x * scale + x, place.y * scale + y];
    const margin = 90;
    const by = (value, limit) => (value < margin ? margin - value : value > limit - margin ? limit - margin - value : 0);
    const [right, down] = [by(left, drawing.clientWidth), by(top, drawing.clientHeight)];
    if (right || down) move(right, down);
  };

  const pointers = new Map();
  const local = (event) => {
    const box = drawing.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  drawing.addEventListener("pointerdown", (event) => pointers.set(event.pointerId, { ...local(event), moved: 0 }));
  drawing.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = { ...local(event), moved: before.moved + Math.abs(event.movementX) + Math.abs(event.movementY) };
    // A hand that trembles at a click does not drag.
    if (now.moved > 4 && !drawing.hasPointerCapture(event.pointerId)) drawing.setPointerCapture(event.pointerId);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const far = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      zoom(far(now) / far(before), other);
    } else if (now.moved > 4) move(now.x - before.x, now.y - before.y);
    pointers.set(event.pointerId, now);
  });
  let dragged = false;
  const end = (event) => {
    dragged = (pointers.get(event.pointerId)?.moved ?? 0) > 4;
    pointers.delete(event.pointerId);
  };
  drawing.addEventListener("pointerup", end);
  drawing.addEventListener("pointercancel", end);
  drawing.addEventListener("pointerleave", (event) => event.buttons || pointers.delete(event.pointerId));
  drawing.addEventListener("click", (event) => {
    if (!dragged) return;
    dragged = false;
    event.preventDefault();
    event.stopPropagation();
  }, { capture: true });
  drawing.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 300), local(event));
  }, { passive: false });
  const observer = new ResizeObserver(() => fitted && fit());
  observer.observe(drawing);
  signal.addEventListener("abort", () => observer.disconnect());

  return {
    nearer: () => zoom(STEP), farther: () => zoom(1 / STEP), fit, move, reveal,
    /** @param {{wide: number, high: number, down: boolean}} next */
    resize(next) {
      size = next;
      fit();
      if (scale >= LEGIBLE) return;
      scale = LEGIBLE;
      x = size.down ? (drawing.clientWidth - size.wide * scale) / 2 : 0;
      y = size.down ? 0 : (drawing.clientHeight - size.high * scale) / 2;
      fitted = false;
      apply();
    },
  };
}
