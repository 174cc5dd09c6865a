/**
 * One input that looks like six boxes: so paste, autofill and screen readers find what they know.
 * The input lies over the boxes, and they show what is in it.
 */

const LENGTH = 6;

/** @returns {() => void} shows what is in the input now */
export function boxes(form) {
  const input = form.querySelector("input");
  const shown = form.querySelectorAll(".boxes span");
  const show = () => {
    const at = Math.min(input.value.length, LENGTH - 1);
    shown.forEach((box, index) => {
      box.textContent = input.value[index] ?? "";
      box.classList.toggle("at", index === at);
    });
  };
  input.addEventListener("input", () => {
    // A code is pasted with spaces, or with the digits of another keyboard.
    const digits = input.value.normalize("NFKC").replace(/\D/g, "").slice(0, LENGTH);
    if (digits !== input.value) input.value = digits;
    show();
  });
  return show;
}
