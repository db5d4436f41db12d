// The list of results: two or more are compared.
const form = document.getElementById("choice"), button = document.getElementById("compare");
if (button) {
  const chosen = () => { const count = form.querySelectorAll("input:checked, input[type=hidden]").length; button.disabled = count < 2; document.getElementById("compare-help").textContent = count > 1 ? `${count} chosen.` : count ? "1 chosen; choose one more." : "Choose two or more."; };
  // What is chosen here stays chosen on the list's other pages.
  const carried = () => { for (const link of form.querySelectorAll(".pager a")) {
    const where = new URL(link.href);
    where.searchParams.delete("of");
    for (const key of new FormData(form).getAll("of")) where.searchParams.append("of", key);
    link.href = where.href;
  } };
  form.addEventListener("change", () => { chosen(); carried(); });
  chosen();
  carried();
}
