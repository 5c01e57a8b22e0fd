/* Charts drawn when they come into view, hints where something scrolls, and buttons that copy a command. */
(function () {
  "use strict";
  var charts = {}, loading = {};

  // what a reader chose, kept in the address of the page: #set=scene&model=none
  window.cemagAddress = {
    read: function () {
      var found = {};
      new URLSearchParams(location.hash.indexOf("=") < 0 ? "" : location.hash.slice(1)).forEach(function (value, name) {
        found[name] = value;
      });
      return found;
    },
    write: function (chosen) {
      var all = new URLSearchParams(Object.assign(window.cemagAddress.read(), chosen));
      history.replaceState(null, "", "#" + all);
    }
  };

  function load(address) { // by a script element: fetch is blocked in pages opened from a file
    loading[address] = loading[address] || new Promise(function (done, failed) {
      var script = document.createElement("script");
      script.src = address;
      script.onload = done;
      script.onerror = function () { failed(new Error(address + " is not there")); };
      document.head.appendChild(script);
    });
    return loading[address];
  }

  function rows(stored) {
    var names = Object.keys(stored.columns), made = [];
    for (var i = 0; i < stored.n; i++) {
      var row = {};
      names.forEach(function (name) {
        var column = stored.columns[name];
        row[name] = Array.isArray(column) ? column[i] : column.of[column.at[i]];
      });
      made.push(row);
    }
    return made;
  }

  window.cemagChart = function (name, spec) {
    Object.keys(spec.datasets).forEach(function (key) { spec.datasets[key] = rows(spec.datasets[key]); });
    charts[name] = spec;
  };

  function name_controls(live) {
    live.querySelectorAll("summary").forEach(function (summary) {
      summary.setAttribute("aria-label", "Save or inspect this chart");
      summary.closest("details").removeAttribute("title");
    });
    live.querySelectorAll("[role=graphics-symbol]:not([aria-label])").forEach(function (mark) {
      mark.removeAttribute("role"); // nothing to say of it: the chart as a whole is described
      mark.removeAttribute("aria-roledescription");
    });
  }

  var drawn = []; // views of the page, each with its place

  // one choice for the whole page: controls of one name are set together, and stay in the address
  function share(view, place) {
    place.querySelectorAll("select[name^=choose_]").forEach(function (select) {
      var name = select.name, wanted = window.cemagAddress.read()[name.slice(7)];
      if (offers(select, wanted)) view.signal(name, wanted).run();
      view.addSignalListener(name, function (_, value) { spread(name, value, view); });
    });
    drawn.push({view: view, place: place});
  }

  function offers(select, value) {
    return Array.from(select.options).some(function (option) { return option.textContent === value; });
  }

  function spread(name, value, from) {
    var chosen = {};
    chosen[name.slice(7)] = value;
    window.cemagAddress.write(chosen);
    drawn.forEach(function (one) {
      var select = one.place.querySelector('select[name="' + name + '"]');
      if (one.view === from || !select || !offers(select, value) || one.view.signal(name) === value) return;
      one.view.signal(name, value).runAsync();
    });
  }

  function draw(place) {
    Promise.all([load(place.dataset.vega), load(place.dataset.script)]).then(function () {
      var live = document.createElement("div");
      live.className = "cemag-live";
      place.appendChild(live);
      var actions = {export: true, source: true, compiled: false, editor: false};
      return window.vegaEmbed(live, charts[place.id], {renderer: "svg", actions: actions}).then(function (embedded) {
        name_controls(live);
        share(embedded.view, place);
        place.classList.add("cemag-is-live");
        hint(place);
      });
    }).catch(function (error) { // the drawing made when the book was built stays
      place.querySelectorAll(".cemag-live").forEach(function (live) { live.remove(); });
      console.error(error);
    });
  }

  var hinted = ".cemag-chart, .cemag-drawn, .cemag-live, div.cell_output div.text_html, .pst-scrollable-table-container, " +
    "div.highlight pre, div.output pre, div.math > math, .bd-article table";

  function hint(root) {
    root.querySelectorAll(hinted).forEach(mark);
    if (root.matches && root.matches(hinted)) mark(root);
  }

  function mark(element) {
    var scrolls = /auto|scroll/.test(getComputedStyle(element).overflowX);
    var hidden = scrolls && element.scrollWidth > element.clientWidth + 1;
    element.classList.toggle("cemag-scrolls", hidden);
    if (hidden) element.tabIndex = 0;
    else if (element.tabIndex === 0 && element.dataset.hinted) element.removeAttribute("tabindex");
    element.dataset.hinted = hidden ? "yes" : "";
  }

  function copy_buttons() {
    if (!navigator.clipboard) return;
    document.querySelectorAll("code.cemag-command").forEach(function (code) {
      var button = document.createElement("button");
      button.type = "button";
      button.className = "cemag-copy";
      button.textContent = "copy";
      button.setAttribute("aria-label", "copy the command " + code.textContent);
      button.addEventListener("click", function () {
        navigator.clipboard.writeText(code.textContent).then(function () {
          button.textContent = "copied";
          setTimeout(function () { button.textContent = "copy"; }, 1500);
        });
      });
      code.after(" ", button);
    });
  }

  function unfold() { // what an address leads to is seen
    var place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var at = place; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (place) place.scrollIntoView();
  }

  function start() {
    var seen = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (!entry.isIntersecting) return;
        seen.unobserve(entry.target);
        draw(entry.target);
      });
    }, {rootMargin: "200px"});
    document.querySelectorAll(".cemag-chart[data-script]").forEach(function (place) { seen.observe(place); });
    hint(document.body);
    window.addEventListener("resize", function () { hint(document.body); });
    document.addEventListener("toggle", function (event) { hint(event.target); }, true);
    copy_buttons();
    window.addEventListener("hashchange", unfold);
    unfold();
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
