package storage

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Aside is what the spool moved out of its own way and never touches again: an
// operator looks at it, and removes it when it is understood.
type Aside struct {
	Quarantine []string       `json:"quarantine" doc:"Files that the spool did not know, by their path in its folder quarantine/."`
	Conflicts  []ConflictFile `json:"conflicts" doc:"Files that another object of the same key keeps out of a storage."`
}

// ConflictFile is a file in conflict/.
type ConflictFile struct {
	Storage string `json:"storage"`
	Key     string `json:"key" doc:"Its path in the spool's folder conflict/STORAGE/."`
}

// Aside lists what lies in quarantine/ and conflict/ now.
func (s *Spool) Aside() (Aside, error) {
	a := Aside{Quarantine: []string{}, Conflicts: []ConflictFile{}}
	err := s.disk.walk(quarantineDir, func(name string, _ fs.DirEntry) error {
		a.Quarantine = append(a.Quarantine, strings.TrimPrefix(name, quarantineDir+"/"))
		return nil
	})
	if err == nil {
		err = s.disk.walk(conflictDir, func(name string, _ fs.DirEntry) error {
			bucket, key, _ := strings.Cut(strings.TrimPrefix(name, conflictDir+"/"), "/")
			a.Conflicts = append(a.Conflicts, ConflictFile{bucket, key})
			return nil
		})
	}
	if err != nil {
		return a, fmt.Errorf("list what the spool set aside: %w", err)
	}
	slices.Sort(a.Quarantine)
	slices.SortFunc(a.Conflicts, func(x, y ConflictFile) int {
		return cmp.Or(cmp.Compare(x.Storage, y.Storage), cmp.Compare(x.Key, y.Key))
	})
	return a, nil
}

// quarantine moves a file aside that the spool does not know.
func (s *Spool) quarantine(name string) error {
	target := s.free(path.Join(quarantineDir, name))
	err := s.disk.within(path.Dir(target), func() error { return s.disk.rename(name, target) })
	if err != nil {
		return fmt.Errorf("move unknown file %s aside: %w", name, err)
	}
	s.log.Warn("unknown file in the spool moved to quarantine", "path", name, "to", target)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quarantined = append(s.quarantined, target)
	return nil
}

// Quarantined lists the files that OpenSpool moved to quarantine/.
func (s *Spool) Quarantined() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.quarantined)
}
