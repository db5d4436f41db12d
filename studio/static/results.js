// The list of results: two or more are compared.
const form = document.getElementById("choice"), button = document.getElementById("compare");
if (button) {
  const chosen = () => { const count = form.querySelectorAll("input:checked, input[type=hidden]").length; button.disabled = count < 2; document.getElementById("compare-help").textContent = count ? `${count} chosen.` : "Choose two or more."; };
  form.addEventListener("change", chosen);
  chosen();
  // What is chosen here stays chosen on the list's other pages.
  for (const link of form.querySelectorAll(".pager a")) link.addEventListener("click", () => {
    const where = new URL(link.href);
    for (const key of new FormData(form).getAll("of")) where.searchParams.append("of", key);
    link.href = where.href;
  });
}
