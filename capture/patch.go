package capture

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Patch changes a running capture: doc is a JSON Merge Patch (RFC 7396) of its
// spec. Members of objects are set, null takes a member back to its default,
// lists are replaced as a whole. The room and the recorder's user stay as they
// are. It returns a *SpecError that names every wrong field, and for a storage
// that is new to the capture what [Manager.Start] would.
func (c *Capture) Patch(doc []byte, actor string) error {
	c.acting.Lock()
	defer c.acting.Unlock()
	if err := c.running(); err != nil {
		return err
	}
	now := c.settings.Load()
	before := now.over(c.spec)
	after, err := before.merge(doc)
	if err != nil {
		return err
	}
	after.Unredact(before)
	after = after.filled()
	nameOutputs(after.Record, now.Record, now.Retired)
	problems := fixed(before, after)
	problems = append(problems, changedOutputs(now.Record, after.Record)...)
	for i, r := range after.Record {
		if slices.ContainsFunc(now.Retired, func(o RecordSpec) bool { return o.ID == r.ID }) {
			problems = append(problems, Problem{fmt.Sprintf("record[%d].id", i), "output " + r.ID + " was removed; its id is not given again"})
		}
	}
	for i, r := range after.Record {
		if len(c.recipients) > 0 && !slices.Contains(c.Storages(), r.Storage) {
			problems = append(problems, Problem{fmt.Sprintf("record[%d].storage", i), "cannot be one that an encrypted capture did not begin with: its keys are not there"})
		}
	}
	if wrong := (*SpecError)(nil); errors.As(after.check(c.env), &wrong) {
		problems = append(problems, wrong.Problems...)
	}
	if len(problems) > 0 {
		return &SpecError{problems}
	}
	changed := differences(before, after)
	if len(changed) == 0 {
		return nil
	}
	if err := c.extend(after); err != nil {
		return err
	}
	details := map[string]any{"actor": actor, "changed": changed}
	return c.take(control{Event: eventChanged, Actor: actor, Reason: strings.Join(changed, ", ")}, now.with(after), details)
}

// merge applies a merge patch to a spec.
func (s Spec) merge(doc []byte) (Spec, error) {
	var patch any
	if err := json.Unmarshal(doc, &patch); err != nil {
		return s, &SpecError{[]Problem{{"", "the body is not JSON: " + err.Error()}}}
	}
	object, ok := patch.(map[string]any)
	if !ok {
		return s, &SpecError{[]Problem{{"", "the body must be a JSON object"}}}
	}
	var known Spec // what a patch names must exist, even if it only sets it to null
	if err := strict(doc, &known); err != nil {
		return s, err
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return s, fmt.Errorf("merge: %w", err)
	}
	var target map[string]any
	if err := json.Unmarshal(raw, &target); err != nil {
		return s, fmt.Errorf("merge: %w", err)
	}
	raw, err = json.Marshal(mergeObjects(target, object))
	if err != nil {
		return s, fmt.Errorf("merge: %w", err)
	}
	var merged Spec
	return merged, strict(raw, &merged)
}

// mergeObjects is MergePatch of RFC 7396, section 2.
func mergeObjects(target, patch map[string]any) map[string]any {
	if target == nil {
		target = map[string]any{}
	}
	for name, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(target, name)
		case map[string]any:
			inner, _ := target[name].(map[string]any)
			target[name] = mergeObjects(inner, value)
		default:
			target[name] = value
		}
	}
	return target
}

// strict decodes JSON and refuses what it does not know.
func strict(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = fmt.Errorf("something follows the object")
		}
	}
	if err != nil {
		return &SpecError{[]Problem{{"", strings.TrimPrefix(err.Error(), "json: ")}}}
	}
	return nil
}

// fixed names what a patch must not change.
func fixed(before, after Spec) (problems []Problem) {
	for _, name := range differences(before, after) {
		part, _, _ := strings.Cut(name, ".")
		if !slices.Contains([]string{"mix", "record", "republish", "limits", "labels", "tone"}, part) || name == "mix.channels" || name == "mix.level" {
			problems = append(problems, Problem{name, "cannot be changed while the capture runs"})
		}
	}
	return problems
}
