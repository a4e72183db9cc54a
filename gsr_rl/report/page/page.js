"use strict";
// The browser of the episodes. What models have written goes on the page only as text.
{
  const PER_PAGE = 10;
  const ALL = "";
  const form = document.querySelector("form.controls");
  const { model, dataset, kind, text } = form.elements;
  const list = document.getElementById("list");
  const position = document.getElementById("position");
  const leftOut = document.getElementById("left-out");
  const buttons = document.querySelectorAll("button[data-turn]");

  const parsed = new Map(); // only what has been looked at
  let found = [];
  let first = 0;

  function chosenModel() {
    if (!parsed.has(model.value)) {
      const whole = JSON.parse(document.getElementById(`model-${model.value}`).textContent);
      for (const episode of whole.episodes) episode.searched = searched(episode);
      parsed.set(model.value, whole);
    }
    return parsed.get(model.value);
  }

  function searched(episode) {
    const responses = [...episode.candidates, ...episode.refinements];
    const texts = responses.flatMap((response) => [response.text, response.answer ?? ""]);
    return [episode.id, episode.problem, episode.gold, ...texts].join("\n").toLowerCase();
  }

  function element(tag, className, content) {
    const made = document.createElement(tag);
    made.className = className;
    if (typeof content === "string") made.textContent = content;
    else made.append(...content);
    return made;
  }

  function offer(select, options) {
    const before = select.value;
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    select.value = options.some(([value]) => value === before) ? before : ALL;
  }

  function offerFilters() {
    const whole = chosenModel();
    const datasets = [...new Set(whole.episodes.map((episode) => episode.dataset))].sort();
    offer(dataset, [[ALL, "all"], ...datasets.map((name) => [name, name])]);
    const kinds = Object.entries(whole.counts).map(([name, total]) => {
      const here = whole.episodes.filter((episode) => episode.kind === name).length;
      return [name, here === total ? `${name} (${total})` : `${name} (${here} of ${total})`];
    });
    offer(kind, [[ALL, "all"], ...kinds]);
    const here = whole.episodes.length;
    leftOut.textContent =
      here === whole.total
        ? `All ${here} sets of ${whole.name} are here.`
        : `${here} of the ${whole.total} sets of ${whole.name} are here, chosen evenly by benchmark and kind; ` +
          "all of them are in its file of episodes.";
  }

  function filter() {
    const wanted = text.value.toLowerCase();
    found = chosenModel().episodes.filter(
      (episode) =>
        (dataset.value === ALL || episode.dataset === dataset.value) &&
        (kind.value === ALL || episode.kind === kind.value) &&
        episode.searched.includes(wanted),
    );
    first = 0;
    show();
  }

  function show() {
    const page = found.slice(first, first + PER_PAGE);
    list.replaceChildren(...page.map(showEpisode));
    position.textContent = found.length
      ? `${first + 1} to ${first + page.length} of ${found.length}`
      : "No set is of this kind and has this text.";
    for (const button of buttons) {
      const to = first + PER_PAGE * Number(button.dataset.turn);
      button.disabled = to < 0 || to >= found.length;
      button.hidden = found.length <= PER_PAGE;
    }
  }

  function showEpisode(episode) {
    const { vote } = episode;
    const voted = vote.answers.length
      ? `Vote: ${vote.answers.join(" | ")}, ${vote.votes} of ${episode.candidates.length}` +
        (vote.answers.length > 1 ? " each" : "")
      : "Vote: nobody gave an answer";
    const standing = vote.score === 1 ? "right" : vote.score === 0 ? "wrong" : "tied";
    return element("article", "episode", [
      element("header", "", [
        element("span", "", [episode.dataset, episode.id, ...(episode.round > 1 ? [`round ${episode.round}`] : [])].join(" · ")),
        element("span", "", episode.kind),
      ]),
      element("p", "problem", episode.problem),
      element("p", "", `Gold answer: ${episode.gold}`),
      element("div", "responses", episode.candidates.map((candidate, i) => showResponse(`Candidate ${i + 1}`, candidate, ""))),
      element("p", "", [`${voted}: `, element("span", `verdict ${standing}`, standing)]),
      element("div", "responses", episode.refinements.map((refinement, i) => showResponse(`Refinement ${i + 1}`, refinement, "refinement"))),
    ]);
  }

  function showResponse(name, response, className) {
    const answer = response.answer === null ? "no answer" : `answer ${response.answer}`;
    const verdict = (response.correct ? "✓ right" : "✗ wrong") + (response.cut_off ? ", cut off" : "");
    return element("div", `response ${className} ${response.correct ? "right" : ""}`, [
      element("div", "", [`${name}: ${answer} `, element("span", "verdict", verdict)]),
      element("pre", "", response.text),
    ]);
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  model.addEventListener("change", () => {
    offerFilters();
    filter();
  });
  dataset.addEventListener("change", filter);
  kind.addEventListener("change", filter);
  text.addEventListener("input", filter);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      first += PER_PAGE * Number(button.dataset.turn);
      show();
      document.getElementById("episodes").scrollIntoView();
    });
  }
  offerFilters();
  filter();
}
