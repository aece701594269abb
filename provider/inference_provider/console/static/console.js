// Three small things that no page needs: parts that refresh, sliders beside number fields, copying.
"use strict";

const stale = (part, is) => {
  part.classList.toggle("stale", is);
  document.getElementById("stale").hidden = !document.querySelector(".stale");
};

// Where a part of the page is marked, it is asked for again, in seconds, and put in place of the old;
// from another page where one is named, and then at once.
for (const part of document.querySelectorAll("[data-refresh]")) {
  const again = async () => {
    const waits = document.hidden || part.contains(document.activeElement) || getSelection().type === "Range";
    if (!waits) {
      try {
        const answer = await fetch(part.dataset.from || location.href, { headers: { accept: "text/html" } });
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        const found = answer.ok && fresh.getElementById(part.id);
        stale(part, !found);
        if (found && found.innerHTML !== part.innerHTML) {
          const end = part.scrollTop + part.clientHeight >= part.scrollHeight - 4;
          part.replaceChildren(...found.childNodes);
          if (end) part.scrollTop = part.scrollHeight;
        }
      } catch {
        stale(part, true);
      }
    }
    setTimeout(again, 1000 * Number(part.dataset.refresh));
  };
  part.scrollTop = part.scrollHeight;
  if (part.dataset.from) again();
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
