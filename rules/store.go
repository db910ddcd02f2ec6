package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"mixdown/storage"
)

const rulesName = "rules.json"

func (e *Engine) load() error {
	b, err := os.ReadFile(filepath.Join(e.config.Dir, rulesName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the rules: %w", err)
	}
	var list []Rule
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("read the rules: %s is damaged: %w", rulesName, err)
	}
	e.rules = list
	return nil
}

// save keeps the rules in the order in which they are asked: by priority, then
// by id.
func (e *Engine) save(list []Rule) error {
	slices.SortFunc(list, func(a, b Rule) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		return strings.Compare(a.ID, b.ID)
	})
	b, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	if err := storage.WriteFile(filepath.Join(e.config.Dir, rulesName), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep the rules: %w", err)
	}
	return nil
}

// Rules lists the rules in the order in which they are asked.
func (e *Engine) Rules() []Rule {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.rules)
}

// Rule returns one rule.
func (e *Engine) Rule(id string) (Rule, error) {
	for _, r := range e.Rules() {
		if r.ID == id {
			return r, nil
		}
	}
	return Rule{}, fmt.Errorf("%q: %w", id, ErrNotFound)
}

// Tag names this version of the rule: no other, and none of a rule that had its
// id before, has the same.
func (r *Rule) Tag() string { return fmt.Sprintf("%d-%x", r.Version, r.Changed.UnixMilli()) }

// Condition is what must be true of the rule that is there, so that nobody
// replaces what they have not seen. The zero value is always met.
type Condition struct {
	Tags []string // one of them is its [Rule.Tag]; "*" stands for any
	New  bool     // there is none
}

// meets says whether the rule that is there is the one that was meant; nil is
// none.
func (c Condition) meets(r *Rule) error {
	switch {
	case c.New && r != nil:
		return fmt.Errorf("%w: there is a rule %q already, of %s", ErrChanged, r.ID, r.By)
	case len(c.Tags) > 0 && r == nil:
		return fmt.Errorf("%w: there is none any more", ErrChanged)
	case len(c.Tags) > 0 && !slices.Contains(c.Tags, "*") && !slices.Contains(c.Tags, r.Tag()):
		return fmt.Errorf("%w: %q was changed by %s, to version %d: look at that first", ErrChanged, r.ID, r.By, r.Version)
	}
	return nil
}

// Put sets a rule and says whether it is a new one; if the condition is not met,
// the error wraps ErrChanged. Setting what is there changes nothing. Captures that
// an earlier version started go on.
func (e *Engine) Put(r Rule, c Condition, by string) (Rule, bool, error) {
	r.Terms = r.Terms.withDefaults()
	if !ruleIDRule.MatchString(r.ID) {
		return Rule{}, false, fmt.Errorf("%w: id: needs 1 to 32 of 0-9 A-Z a-z _ -", ErrInvalid)
	}
	if err := r.Terms.check(); err != nil {
		return Rule{}, false, err
	}
	if old, err := e.Rule(r.ID); err == nil && old.System == r.System { // it may come back as it was shown
		r.Capture.Unredact(old.Capture)
	}
	if err := e.config.Check(r.spec("", "a-room")); err != nil {
		return Rule{}, false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.rules, func(o Rule) bool { return o.ID == r.ID })
	list := slices.Clone(e.rules)
	r.Version, r.Changed, r.By = 1, storage.At(time.Now()), by
	var there *Rule
	if i >= 0 {
		there = &e.rules[i]
	}
	if err := c.meets(there); err != nil {
		return Rule{}, false, err
	}
	if i >= 0 {
		old := e.rules[i]
		if reflect.DeepEqual(old.Terms, r.Terms) && equalJSON(old.Capture, r.Capture) {
			return old, false, nil
		}
		r.Version = old.Version + 1
		list[i] = r
	} else {
		list = append(list, r)
	}
	if err := e.save(list); err != nil {
		return Rule{}, false, err
	}
	e.rules = list
	e.changed()
	return r, i < 0, nil
}

// Delete removes a rule. Captures that it started go on.
func (e *Engine) Delete(id string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.rules, func(o Rule) bool { return o.ID == id })
	if i < 0 {
		return fmt.Errorf("%q: %w", id, ErrNotFound)
	}
	list := slices.Delete(slices.Clone(e.rules), i, i+1)
	if err := e.save(list); err != nil {
		return err
	}
	e.rules = list
	e.changed()
	return nil
}

func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
