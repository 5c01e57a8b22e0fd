/* The explorer: choose an instance, drop its CEs until the prediction flips, move the bias. No network, no framework.

   Counts are those of cemag.metrics, step for step: the same orders, the same running sums, a tie keeps nothing. */
(function () {
  "use strict";
  var sets = {}, arrived = {};

  // ---------------------------------------------------------------- numbers

  function bytes(coded) {
    var text = atob(coded), made = new Uint8Array(text.length);
    for (var i = 0; i < text.length; i++) made[i] = text.charCodeAt(i);
    return made.buffer;
  }

  function half(bits) { // a number of 16 bits
    var sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * Math.pow(2, -24);
    return sign * (1 + fraction / 1024) * Math.pow(2, exponent - 15);
  }

  function numbers(held) {
    if (held.bits === 16) return Float64Array.from(new Uint16Array(bytes(held.values)), half);
    return Float64Array.from(new Float32Array(bytes(held.values)));
  }

  function receive(name, set) {
    set.name = name;
    set.n = set.labels.length;
    set.embeddings = set.embeddings.map(numbers);
    set.models.forEach(function (model) {
      model.weights = Float64Array.from(new Float32Array(bytes(model.weights)));
      model.d = model.weights.length / model.bias.length;
      model.features = set.embeddings[model.embedding];
      model.single = model.bias.length === 1;
    });
    sets[name] = set;
    (arrived[name] || []).forEach(function (call) { call(set); });
    arrived[name] = [];
  }

  // ---------------------------------------------------------------- the model

  function whole_sums(model, row) { // without the bias, one for each row of weights
    return model.bias.map(function (_, c) {
      var sum = 0;
      for (var j = 0; j < model.d; j++) sum += model.weights[c * model.d + j] * model.features[row * model.d + j];
      return sum;
    });
  }

  function largest(values, but) {
    var best = -1;
    values.forEach(function (value, c) { if (c !== but && (best < 0 || value > values[best])) best = c; });
    return best;
  }

  function decide(model, sums, bias) {
    if (model.single) return sums[0] + bias[0] > 0 ? 1 : 0;
    return largest(sums.map(function (sum, c) { return sum + bias[c]; }));
  }

  function moved(set, model, shift) { // the bias with the minority's moved
    if (model.single) return [model.bias[0] + shift];
    return model.bias.map(function (b, c) { return set.minority.indexOf(c) < 0 ? b : b + shift; });
  }

  function zeros(model) { return model.bias.map(function () { return 0; }); }

  function ces_of(model, row, label) {
    var made = new Float64Array(model.d), start = model.single ? 0 : label * model.d;
    for (var j = 0; j < model.d; j++) {
      made[j] = model.weights[start + j] * model.features[row * model.d + j];
      if (model.single && label === 0) made[j] = -made[j];
    }
    return made;
  }

  function orders(ces) {
    var signed = Array.from(ces.keys()).sort(function (i, j) { return ces[j] - ces[i]; });
    var magnitude = signed.slice().sort(function (i, j) { return Math.abs(ces[j]) - Math.abs(ces[i]); });
    return {signed: signed, magnitude: magnitude};
  }

  // ---------------------------------------------------------------- counts

  function kept_by_k(model, row, label, order, ces, bias, sums) { // for k = 0 ... d: by each way to drop
    var d = model.d, own = 0, k, shared = [], target = [], sign = label === 1 ? 1 : -1;
    var running = [0];
    for (k = 0; k < d; k++) { own += ces[order[k]]; running.push(own); }
    if (model.single) {
      shared = running.map(function (sum) { return sum > -sign * bias[0]; });
      shared[d] = true;
      return {shared: shared};
    }
    for (k = 0; k <= d; k++) shared.push(true);
    model.bias.forEach(function (_, rival) {
      if (rival === label) return;
      var lead = 0, asked = bias[rival] - bias[label];
      if (!(lead > asked)) shared[0] = false;
      for (k = 0; k < d; k++) {
        var j = order[k];
        lead += (model.weights[label * d + j] - model.weights[rival * d + j]) * model.features[row * d + j];
        if (!(lead > asked)) shared[k + 1] = false;
      }
    });
    var best = Math.max.apply(null, sums.map(function (sum, c) { return c === label ? -Infinity : sum + bias[c]; }));
    target = running.map(function (sum) { return sum > best - bias[label]; });
    shared[d] = target[d] = true;
    return {shared: shared, target: target};
  }

  function counts_of(model, row, bias) { // by the names of the rules
    var found = {}, sums = whole_sums(model, row);
    [["bias", bias], ["nobias", zeros(model)]].forEach(function (one) {
      var label = decide(model, sums, one[1]), ces = ces_of(model, row, label), by = orders(ces);
      Object.keys(by).forEach(function (ranking) {
        var kept = kept_by_k(model, row, label, by[ranking], ces, one[1], sums);
        Object.keys(kept).forEach(function (cut) {
          var name = function (stability) { return [ranking, cut, stability, one[0]].join("-"); };
          found[name("first")] = kept[cut].indexOf(true);
          found[name("stable")] = kept[cut].lastIndexOf(false) + 1;
        });
      });
    });
    return found;
  }

  function recalls(set, model, shift) { // of each class
    var bias = moved(set, model, shift), right = set.classes.map(function () { return 0; }), all = right.slice();
    for (var row = 0; row < set.n; row++) {
      all[set.labels[row]] += 1;
      if (decide(model, model.sums[row], bias) === set.labels[row]) right[set.labels[row]] += 1;
    }
    return right.map(function (n, c) { return n / all[c]; });
  }

  function with_sums(set, model) {
    model.sums = model.sums || set.labels.map(function (_, row) { return whole_sums(model, row); });
    return model;
  }

  function mean(values) { return values.reduce(function (a, b) { return a + b; }, 0) / values.length; }

  function model_of(set, name) {
    var found = set.models.filter(function (model) { return model.name === name; });
    return with_sums(set, found[0] || set.models[0]);
  }

  // ---------------------------------------------------------------- the page

  function make(tag, given, inside) {
    var element = document.createElement(tag);
    Object.keys(given || {}).forEach(function (name) {
      if (name in element && name !== "list") element[name] = given[name];
      else element.setAttribute(name, given[name]);
    });
    (inside || []).forEach(function (one) { element.append(one); });
    return element;
  }

  function number(value) { return (value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(2); }
  function signed_number(value) { return (value < 0 ? "" : "+") + number(value); }
  function percent(value) { return Math.round(100 * value) + " %"; }

  function labelled(words, control) { return make("label", {className: "cemag-choice"}, [words + " ", control]); }

  function choose(options, value, changed) { // options: [value, words]
    var select = make("select", {}, options.map(function (one) {
      return make("option", {value: String(one[0]), textContent: one[1], selected: String(one[0]) === String(value)});
    }));
    select.addEventListener("change", function () { changed(select.value); });
    return select;
  }

  function Explorer(place) {
    var titles = JSON.parse(place.dataset.sets), names = Object.keys(titles);
    var live = make("div", {className: "cemag-explorer-live"});
    var state = {ranking: "magnitude", cut: "shared", bias: true, shift: 0};
    var set, model, row, label, ces, order, kept, parts = {}, rows = [];
    place.append(live);

    function load(name, then) {
      if (sets[name]) return then(sets[name]);
      (arrived[name] = arrived[name] || []).push(then);
      var script = make("script", {src: place.dataset.from + name + ".js"});
      script.onerror = function () { live.textContent = "The data of " + titles[name] + " is not there."; };
      document.head.append(script);
    }

    function open_set(name, wanted) {
      load(names.indexOf(name) < 0 ? names[0] : name, function (found) {
        set = found;
        model = model_of(set, (wanted && wanted.model) || "none");
        var asked = wanted ? set.instances.indexOf(Number(wanted.instance)) : -1;
        row = asked < 0 ? first_of(Math.max.apply(null, set.minority)) : asked;
        state.shift = 0;
        rebuild();
      });
    }

    function first_of(c) { // an instance of a class, best one with a picture
      var of_class = rows_of(c);
      return of_class.filter(function (one) { return one in set.pictures; })[0] || of_class[0];
    }

    function rows_of(c) {
      return set.labels.map(function (_, i) { return i; }).filter(function (i) { return set.labels[i] === c; });
    }

    function predicted(one) { return set.classes[decide(model, model.sums[one], model.bias)]; }

    // everything but what is kept: the choices above, the rows of the sum, the counts
    function rebuild() {
      var c = set.labels[row];
      window.cemagAddress.write({set: set.name, model: model.name, instance: set.instances[row]});
      var focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.part : "";
      live.dataset.set = set.name;
      live.replaceChildren(choices(c), pictures(c), sum_part(), counts_part(), bias_part());
      restart();
      window.dispatchEvent(new Event("resize")); // what now is wider than the screen says so
      var again = focused && live.querySelector('[data-part="' + focused + '"]');
      if (again) again.focus();
    }

    function named(control, part) { control.dataset.part = part; return control; }

    function choices(c) {
      return make("div", {className: "cemag-choices"}, [
        labelled("data set", named(choose(names.map(function (n) { return [n, titles[n]]; }), set.name, open_set), "set")),
        labelled("model", named(choose(set.models.map(function (m) { return [m.name, m.title]; }), model.name,
          function (name) { model = model_of(set, name); state.shift = 0; rebuild(); }), "model")),
        labelled("class", named(choose(set.classes.map(function (name, i) {
          return [i, name + " (" + set.n_train[i].toLocaleString("en") + " training instances)"];
        }), c, function (value) { row = first_of(Number(value)); rebuild(); }), "class")),
        labelled("instance", named(choose(rows_of(c).map(function (one) {
          return [one, "number " + set.instances[one] + ", predicted " + predicted(one)];
        }), row, function (value) { row = Number(value); rebuild(); }), "instance"))
      ]);
    }

    function pictures(c) {
      var shown = rows_of(c).filter(function (one) { return one in set.pictures; });
      return make("div", {className: "cemag-pictures", role: "group", "aria-label": "images of this class"},
        shown.map(function (one) {
          var words = set.classes[c] + ", number " + set.instances[one] + ", predicted " + predicted(one);
          var button = make("button", {type: "button", title: words, "aria-pressed": String(one === row)}, [
            make("img", {alt: words, src: "data:image/webp;base64," + set.pictures[one], width: 48, height: 48})
          ]);
          button.addEventListener("click", function () { row = one; rebuild(); });
          return named(button, "picture-" + one);
        }));
    }

    // ---- the sum

    function sum_part() {
      parts.said = make("p", {className: "cemag-said", role: "status"});
      parts.list = make("ul", {className: "cemag-sum"});
      parts.classes = make("div", {className: "cemag-class-sums"});
      parts.slider = make("input", {type: "range", min: 0, max: model.d, step: 1});
      parts.slider.addEventListener("input", function () { keep_first(Number(parts.slider.value)); });
      parts.several = make("output", {});
      parts.ranking = choose([["magnitude", "magnitude"], ["signed", "contribution"]], state.ranking,
        function (value) { state.ranking = value; restart(); });
      parts.cut = choose([["shared", "every class's sum"], ["target", "the predicted class's sum alone"]], state.cut,
        function (value) { state.cut = value; show(); });
      parts.bias = make("input", {type: "checkbox", checked: state.bias});
      parts.bias.addEventListener("change", function () { state.bias = parts.bias.checked; restart(); });
      parts.list.addEventListener("keydown", walk);
      var controls = [
        labelled("largest first by", parts.ranking),
        model.single ? "" : labelled("drop from", parts.cut),
        make("label", {className: "cemag-choice"}, [parts.bias, " count the bias"]),
        make("span", {className: "cemag-choice"}, [
          button("Drop the largest", drop), " ", button("Drop until it flips", drop_all), " ", button("Put all back", all_back)
        ]),
        make("label", {className: "cemag-choice cemag-wide"}, ["keep the largest ", parts.slider, parts.several])
      ];
      return make("section", {className: "cemag-part"}, [
        make("h3", {textContent: "The sum that decides"}), parts.said,
        make("div", {className: "cemag-choices"}, controls), parts.list, parts.classes
      ]);
    }

    function button(words, call) {
      var made = make("button", {type: "button", className: "cemag-button", textContent: words});
      made.addEventListener("click", call);
      return made;
    }

    function bias() { return state.bias ? moved(set, model, state.shift) : zeros(model); }

    function restart() { // another instance, order or bias: all CEs are back
      label = decide(model, model.sums[row], bias());
      ces = ces_of(model, row, label);
      order = orders(ces)[state.ranking];
      kept = ces.map(function () { return 1; });
      rows = order.map(row_of);
      var heads = ["bias", "sum"].map(function (name) {
        return make("li", {className: "cemag-sum-row"}, [make("span", {textContent: name}), make("span", {}), bar()]);
      });
      parts.ends = heads;
      parts.list.replaceChildren.apply(parts.list, [heads[0]].concat(rows, [heads[1]]));
      if (rows[0]) rows[0].firstChild.firstChild.tabIndex = 0;
      show();
    }

    function bar() { return make("span", {className: "cemag-sum-bar", "aria-hidden": "true"}, [make("i", {})]); }

    function row_of(j) {
      var box = make("input", {type: "checkbox", checked: true, tabIndex: -1});
      box.addEventListener("change", function () { kept[j] = box.checked ? 1 : 0; show(); });
      var name = make("label", {}, [box, " " + set.feature + " " + j]);
      return make("li", {className: "cemag-sum-row"}, [name, make("span", {textContent: signed_number(ces[j])}), bar()]);
    }

    function walk(event) { // one stop of the keyboard for all CEs, arrows within
      var boxes = rows.map(function (one) { return one.firstChild.firstChild; });
      var at = boxes.indexOf(document.activeElement), to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: boxes.length - 1}[event.key];
      if (at < 0 || to === undefined || !boxes[to]) return;
      event.preventDefault();
      boxes[at].tabIndex = -1;
      boxes[to].tabIndex = 0;
      boxes[to].focus();
    }

    function keep_first(k) {
      order.forEach(function (j, place) { kept[j] = place < k ? 1 : 0; });
      show();
    }

    function drop() {
      var next = order.filter(function (j) { return kept[j]; })[0];
      if (next !== undefined) kept[next] = 0;
      show();
    }

    function drop_all() {
      while (says() === label && kept.indexOf(1) >= 0) kept[order.filter(function (j) { return kept[j]; })[0]] = 0;
      show();
    }

    function all_back() { keep_first(model.d); }

    function left(c) { // sum of the kept CEs of a class and its bias
      var sum = 0, values = c === label ? ces : ces_of(model, row, c);
      for (var j = 0; j < model.d; j++) if (kept[j] || (state.cut === "target" && c !== label)) sum += values[j];
      return sum + bias()[c];
    }

    function sums_left() {
      if (!model.single) return set.classes.map(function (_, c) { return left(c); });
      var sum = 0, sign = label === 1 ? 1 : -1;
      for (var j = 0; j < model.d; j++) if (kept[j]) sum += ces[j];
      sum += sign * bias()[0];
      return label === 1 ? [-sum, sum] : [sum, -sum];
    }

    function says() { // a tie keeps no prediction
      var sums = sums_left(), rival = largest(sums, label);
      if (kept.indexOf(0) < 0) return label;
      return sums[label] > sums[rival] ? label : rival;
    }

    function show() {
      var n_kept = mean(kept) * model.d, now = says(), sums = sums_left();
      var own = model.single ? (label === 1 ? 1 : -1) * bias()[0] : bias()[label];
      draw_sum(own, sums[label]);
      parts.slider.value = Math.round(n_kept);
      parts.several.textContent = " " + Math.round(n_kept) + " of " + model.d;
      var flips = now === label ? "it still says " + set.classes[label] + "." : "the prediction flips to " + set.classes[now] + ".";
      var true_class = set.classes[set.labels[row]];
      parts.said.textContent = "Number " + set.instances[row] + " is of class " + true_class + "; the model says " +
        set.classes[label] + (state.bias ? "" : " (the bias not counted)") + ". With " + Math.round(n_kept) + " of its " +
        model.d + " CEs " + flips;
      parts.said.classList.toggle("cemag-flipped", now !== label);
      draw_classes(sums, now);
      parts.list.dataset.says = set.classes[now];
    }

    function draw_sum(own, total) {
      var at = own, low = Math.min(0, own), high = Math.max(0, own), spans = [], whole = own;
      order.forEach(function (j) {
        whole += ces[j];
        spans.push([at, at + ces[j]]);
        if (kept[j]) at += ces[j];
        low = Math.min(low, whole, spans[spans.length - 1][1]);
        high = Math.max(high, whole, spans[spans.length - 1][1]);
      });
      var width = high - low || 1;
      function set_bar(line, from, to, gone) {
        var span = line.lastChild, drawn = span.firstChild;
        span.style.setProperty("--zero", 100 * -low / width + "%");
        drawn.style.left = 100 * (Math.min(from, to) - low) / width + "%";
        drawn.style.width = Math.max(0.4, 100 * Math.abs(to - from) / width) + "%";
        drawn.className = to < from ? "cemag-against" : "cemag-towards";
        line.classList.toggle("cemag-gone", gone);
      }
      set_bar(parts.ends[0], 0, own, !state.bias);
      rows.forEach(function (line, place) {
        var box = line.firstChild.firstChild, is_kept = Boolean(kept[order[place]]);
        if (box.checked !== is_kept) box.checked = is_kept;
        set_bar(line, spans[place][0], spans[place][1], !is_kept);
      });
      set_bar(parts.ends[1], 0, total, false);
      parts.ends[0].children[1].textContent = signed_number(own);
      parts.ends[1].children[1].textContent = number(total);
    }

    function draw_classes(sums, now) {
      if (model.single) {
        parts.classes.replaceChildren(make("p", {textContent: "Above 0 the sum towards " + set.classes[label] +
          " decides for it; it is " + number(sums[label]) + "."}));
        return;
      }
      parts.classes.replaceChildren(table(["class", "sum that is left"], set.classes.map(function (name, c) {
        var marks = (c === now ? " \u2190 highest" : "");
        return [name, number(sums[c]) + marks];
      }), "Sum of every class, as it stands"));
    }

    function table(heads, lines, caption) {
      return make("table", {className: "cemag-table"}, [
        make("caption", {textContent: caption}),
        make("thead", {}, [make("tr", {}, heads.map(function (name) { return make("th", {scope: "col", textContent: name}); }))]),
        make("tbody", {}, lines.map(function (cells) {
          return make("tr", {}, cells.map(function (cell, i) { return make(i ? "td" : "th", i ? {} : {scope: "row"}, [cell]); }));
        }))
      ]);
    }

    // ---- the counts

    function counts_part() {
      parts.counts = make("div", {});
      return make("section", {className: "cemag-part"}, [
        make("h3", {textContent: "How many CEs each rule asks for"}),
        make("p", {textContent: "Press a count to keep just those CEs above. The first count is the smallest that gives " +
          "the prediction; from the stable one on it never changes again."}),
        parts.counts
      ]);
    }

    function draw_counts() {
      var counts = counts_of(model, row, moved(set, model, state.shift)), lines = [];
      ["signed", "magnitude"].forEach(function (ranking) {
        (model.single ? ["shared"] : ["shared", "target"]).forEach(function (cut) {
          ["bias", "nobias"].forEach(function (with_bias) {
            var key = [ranking, cut], cells = ["first", "stable"].map(function (stability) {
              var k = counts[key.concat([stability, with_bias]).join("-")];
              var made = button(String(k), function () { try_rule(ranking, cut, with_bias === "bias", k); });
              made.setAttribute("aria-label", "keep " + k + " CEs, " + stability + " count");
              return made;
            });
            lines.push([
              ranking === "signed" ? "contribution" : "magnitude",
              model.single ? "" : (cut === "shared" ? "every class's sum" : "the predicted class's alone"),
              with_bias === "bias" ? "yes" : "no"
            ].concat(cells));
          });
        });
      });
      if (model.single) lines = lines.map(function (line) { return [line[0]].concat(line.slice(2)); });
      var heads = ["largest first by"].concat(model.single ? [] : ["dropped from"], ["bias counted", "first", "stable"]);
      parts.counts.replaceChildren(table(heads, lines, "CEs required, of " + model.d));
    }

    function try_rule(ranking, cut, with_bias, k) {
      state.ranking = parts.ranking.value = ranking;
      state.cut = cut;
      if (!model.single) parts.cut.value = cut;
      state.bias = parts.bias.checked = with_bias;
      restart();
      keep_first(k);
    }

    // ---- the bias

    function bias_part() {
      parts.shift = make("input", {type: "range", min: -6, max: 6, step: 0.25, value: state.shift});
      parts.shift.addEventListener("input", function () { state.shift = Number(parts.shift.value); restart(); draw_bias(); });
      parts.moved = make("output", {});
      parts.effect = make("p", {className: "cemag-effect", role: "status"});
      parts.recall = make("div", {});
      var section = make("section", {className: "cemag-part"}, [
        make("h3", {textContent: "Only the bias moves"}),
        make("div", {className: "cemag-choices"}, [
          make("label", {className: "cemag-choice cemag-wide"}, ["added to the bias of the minority ", parts.shift, parts.moved]),
          make("span", {className: "cemag-choice"}, [button("Back to 0", function () {
            parts.shift.value = 0; state.shift = 0; restart(); draw_bias();
          })])
        ]),
        parts.effect, parts.recall
      ]);
      draw_bias();
      return section;
    }

    function draw_bias() {
      var before = recalls(set, model, 0), now = recalls(set, model, state.shift);
      var minority = function (all) { return mean(set.minority.map(function (c) { return all[c]; })); };
      parts.moved.textContent = " " + signed_number(state.shift);
      parts.effect.textContent = "Minority recall " + percent(minority(before)) + " \u2192 " + percent(minority(now)) +
        "; balanced accuracy " + percent(mean(before)) + " \u2192 " + percent(mean(now)) + ". CEs of this instance that changed: " +
        changed() + " of " + model.weights.length + ".";
      parts.recall.replaceChildren(table(["class", "training instances", "recall before", "recall now"],
        set.classes.map(function (name, c) {
          var is_minority = set.minority.indexOf(c) >= 0 && !model.single ? " (minority)" : "";
          return [name + is_minority, set.n_train[c].toLocaleString("en"), percent(before[c]), gauge(now[c])];
        }), "Over the " + set.n + " test instances held here"));
      draw_counts();
    }

    function gauge(value) {
      var drawn = make("i", {});
      drawn.style.width = 100 * value + "%";
      return make("span", {className: "cemag-gauge"}, [make("span", {"aria-hidden": "true"}, [drawn]), percent(value)]);
    }

    function changed() { // against the model whose bias stays where it was
      var other = Object.assign({}, model, {bias: moved(set, model, state.shift)}), n = 0;
      for (var c = 0; c < model.bias.length; c++) {
        var before = ces_of(model, row, model.single ? 1 : c), after = ces_of(other, row, model.single ? 1 : c);
        before.forEach(function (value, j) { if (value !== after[j]) n += 1; });
      }
      return n;
    }

    var wanted = window.cemagAddress.read();
    open_set(wanted.set, wanted.set ? wanted : {instance: place.dataset.first});
  }

  // for tests, and for whoever would rather ask the console
  function all_counts(name, model_name, shift) {
    var set = sets[name], model = model_of(set, model_name), found = {};
    for (var row = 0; row < set.n; row++) {
      var counts = counts_of(model, row, moved(set, model, shift || 0));
      Object.keys(counts).forEach(function (rule) { (found[rule] = found[rule] || []).push(counts[rule]); });
    }
    return found;
  }

  window.cemagExplorer = {
    receive: receive,
    counts: all_counts,
    recalls: function (name, model_name, shift) { return recalls(sets[name], model_of(sets[name], model_name), shift || 0); }
  };

  function start() { document.querySelectorAll(".cemag-explorer[data-from]").forEach(Explorer); }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
