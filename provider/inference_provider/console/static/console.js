// Three small things that no page needs: parts that refresh, sliders beside number fields, copying.
"use strict";

const UNREAD = "A part of this page could not be read again: it may be out of date.";
const WAITS = "A part of this page waits while something in it is selected or typed: it may be out of date.";

const stale = (part, why) => {
  part.classList.toggle("stale", Boolean(why));
  part.dataset.stale = why;
  const found = document.querySelector(".stale");
  const told = document.getElementById("stale");
  told.hidden = !found;
  told.textContent = found ? found.dataset.stale : "";
};

// What a person does in a part that replacing it would spoil; reading and scrolling is none of it.
const isUsed = part => {
  const selected = getSelection();
  const typed = part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea, button");
  return typed || part.matches(":active") || (selected.type === "Range" && selected.containsNode(part, true));
};

// What keeps the focus, or how far it is scrolled, when its part is replaced: by link or label.
const kept = part => [...part.querySelectorAll("a[href], [aria-label]")];
const name = it => it.getAttribute("href") || it.ariaLabel;

const replace = (part, found) => {
  const end = part.scrollTop + part.clientHeight >= part.scrollHeight - 4;
  const before = kept(part).map(it => ({ name: name(it), left: it.scrollLeft, top: it.scrollTop, focus: it === document.activeElement }));
  part.replaceChildren(...found.childNodes);
  for (const it of kept(part)) {
    const was = before.find(one => one.name === name(it));
    if (!was) continue;
    it.scrollTo(was.left, was.top);
    if (was.focus) it.focus({ preventScroll: true });
  }
  if (end) part.scrollTop = part.scrollHeight;
};

// Where a part of the page is marked, it is asked for again, in seconds, and put in place of the old;
// from another page where one is named, and at once where the page came without it.
for (const part of document.querySelectorAll("[data-refresh]")) {
  const again = async () => {
    if (isUsed(part)) {
      stale(part, WAITS);
    } else if (!document.hidden) {
      try {
        const answer = await fetch(part.dataset.from || location.href, { headers: { accept: "text/html" } });
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const found = answer.ok && fresh.getElementById(part.id);
        if (!found) stale(part, UNREAD);
        else if (isUsed(part)) stale(part, WAITS);
        else {
          stale(part, "");
          if (found.innerHTML !== part.innerHTML) replace(part, found);
        }
      } catch {
        stale(part, UNREAD);
      }
    }
    setTimeout(again, 1000 * Number(part.dataset.refresh));
  };
  part.scrollTop = part.scrollHeight;
  if ("now" in part.dataset) again();
  else setTimeout(again, 1000 * Number(part.dataset.refresh));
}

for (const form of document.querySelectorAll("form[data-sum]")) {
  const fields = [...form.querySelectorAll("input[data-slider]")];
  const total = form.querySelector("[data-total]");
  const sum = () => {
    const found = fields.reduce((all, field) => all + Number(field.value), 0);
    total.value = `together ${found} %` + (found === 100 || found === 0 ? "" : "; must be 100, or 0");
  };
  for (const field of fields) {
    const slider = document.createElement("input");
    Object.assign(slider, { type: "range", min: 0, max: 100, step: 1, value: field.value });
    slider.setAttribute("aria-label", `${field.dataset.slider}, percent, slider`);
    slider.addEventListener("input", () => { field.value = slider.value; sum(); });
    field.addEventListener("input", () => { slider.value = field.value; sum(); });
    field.after(slider);
  }
  sum();
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

const go = document.querySelector("a[data-go]");
if (go) location.replace(go.href);
