package capture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mixdown/storage"
)

// number is which output of its kind and format this is, by its id: mix-ogg is
// the first, mix-ogg-2 the second. It is 0 for an id that is not of this form.
func (r RecordSpec) number() int {
	rest, ok := strings.CutPrefix(r.ID, r.What+"-"+r.Format)
	switch {
	case !ok:
		return 0
	case rest == "":
		return 1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "-"))
	if err != nil || n < 2 || rest != "-"+strconv.Itoa(n) {
		return 0
	}
	return n
}

// recordID is the id of the record entry that an output comes from: outputs of
// streams have the stream's name behind it.
func recordID(o storage.Output) string {
	id, _, _ := strings.Cut(o.ID, "/")
	return id
}

// same says that two entries ask for the same files, if in other storages.
func (r RecordSpec) same(o RecordSpec) bool {
	return r.What == o.What && r.Format == o.Format && r.SegmentSeconds == o.SegmentSeconds && r.Bitrate == o.Bitrate && slices.Equal(r.Left, o.Left)
}

// nameOutputs gives every entry an id. The same files in two storages are one
// output. What was there before keeps its id, and the id of an output that was
// removed is never given again: its files have ended.
func nameOutputs(entries, before, retired []RecordSpec) {
	for i := range entries {
		e := &entries[i]
		if e.ID != "" {
			continue
		}
		match := func(o RecordSpec) bool { return o.ID != "" && o.same(*e) }
		if n := slices.IndexFunc(entries, match); n >= 0 {
			e.ID = entries[n].ID
			continue
		}
		if n := slices.IndexFunc(before, match); n >= 0 {
			e.ID = before[n].ID
			continue
		}
		for n := 1; ; n++ {
			id := fmt.Sprintf("%s-%s", e.What, e.Format)
			if n > 1 {
				id = fmt.Sprintf("%s-%d", id, n)
			}
			taken := func(o RecordSpec) bool { return o.ID == id }
			if !slices.ContainsFunc(entries, taken) && !slices.ContainsFunc(before, taken) && !slices.ContainsFunc(retired, taken) {
				e.ID = id
				break
			}
		}
	}
}

// changedOutputs finds what cannot be changed about outputs that are there.
func changedOutputs(before, after []RecordSpec) (problems []Problem) {
	storages := func(list []RecordSpec, id string) (all []string) {
		for _, r := range list {
			if r.ID == id {
				all = append(all, r.Storage)
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	for i, r := range after {
		n := slices.IndexFunc(before, func(o RecordSpec) bool { return o.ID == r.ID })
		switch {
		case n < 0:
		case !before[n].same(r):
			problems = append(problems, Problem{fmt.Sprintf("record[%d]", i), "output " + r.ID + " cannot be changed while it is written; leave out its id to end it and begin another"})
		case !slices.Equal(storages(before, r.ID), storages(after, r.ID)):
			problems = append(problems, Problem{fmt.Sprintf("record[%d].storage", i), "output " + r.ID + " cannot change its storages while it is written"})
		}
	}
	return problems
}
