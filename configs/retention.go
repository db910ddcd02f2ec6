package configs

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Retention says how long recordings are kept. A recording without a class is
// never disposed of by itself.
type Retention struct {
	Default string                    `yaml:"default"` // class of captures that name none; "" is none
	Classes map[string]RetentionClass `yaml:"classes"`
}

// RetentionClass is a rule by which recordings are kept.
type RetentionClass struct {
	Days  int    `yaml:"days"`  // from a recording's end; then it is disposed of
	Lock  string `yaml:"lock"`  // governance, compliance: object lock; "" is none
	Early bool   `yaml:"early"` // may be disposed of before, by request
}

// maxDays is a century.
const maxDays = 36500

var className = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// check says what is wrong, by key.
func (r Retention) check(bad func(key, format string, args ...any)) {
	if _, ok := r.Classes[r.Default]; r.Default != "" && !ok {
		bad("retention.default", "%q is not one of the classes", r.Default)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Classes)) {
		c, key := r.Classes[name], "retention.classes."+name
		if !className.MatchString(name) {
			bad(key, "a class's name needs 1 to 32 of a-z 0-9 -")
		}
		if c.Days < 1 || c.Days > maxDays {
			bad(key+".days", "must be 1 to %d", maxDays)
		}
		if !slices.Contains([]string{"", "governance", "compliance"}, c.Lock) {
			bad(key+".lock", "%q is not one of governance, compliance", c.Lock)
		}
		if c.Lock != "" && c.Early {
			bad(key+".early", "%s", fmt.Sprintf("what is locked cannot be disposed of early: lock is %s", c.Lock))
		}
	}
}
