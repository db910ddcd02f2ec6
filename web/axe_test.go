package web_test

import (
	"os"

	"mixdown/web/webtest"
)

// accessible fails on what axe-core finds serious or critical in the page as
// it is.
func (v *visitor) accessible(name string) {
	v.t.Helper()
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if err != nil {
		v.t.Fatalf("%v (make web installs it)", err)
	}
	webtest.Do(v.t, v.ctx, string(axe)+`;null`)
	found := webtest.Eval[[]string](v.t, v.ctx, `axe.run().then(({violations}) => violations
		.filter((x) => x.impact === 'serious' || x.impact === 'critical')
		.map((x) => x.id + ': ' + x.help + ': ' + x.nodes.map((n) => n.html).join(' ')))`)
	for _, f := range found {
		v.t.Errorf("%s is hard to use for some: %s", name, f)
	}
	checked := webtest.Eval[int](v.t, v.ctx, `axe.run().then(({passes}) => passes.length)`)
	if checked < 10 {
		v.t.Errorf("%s: axe-core checked %d rules only", name, checked)
	}
}
