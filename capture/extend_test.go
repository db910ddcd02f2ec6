package capture_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"mixdown/capture"
	"mixdown/storage"
)

// TestPatchAddsAStorage: a change that lets files go where none went is asked
// what a start is asked, and what it decides is kept.
func TestPatchAddsAStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wrong string
		s := newStage()
		h := open(t, t.TempDir(), s, func(c *capture.Config) {
			c.Storages = append(c.Storages, "far", "bad")
			c.Try = func(_ context.Context, name string, _ capture.Spec) (storage.Probed, error) {
				if name == wrong {
					return storage.Probed{}, &storage.Failure{Code: storage.WrongKey, Err: fmt.Errorf("no such key: %w", storage.ErrPermanent)}
				}
				return storage.Probed{}, nil
			}
			c.Retain = func(_ string, spec capture.Spec) (*storage.Retention, error) {
				keep := &storage.Retention{Class: "worm", Days: 1, Locks: map[string]storage.LockMode{}}
				for _, r := range spec.Record {
					keep.Locks[r.Storage] = storage.Compliance
				}
				return keep, nil
			}
		})
		c := h.start("c1")
		wrong = "bad"
		var refused *capture.DestinationError
		if err := c.Patch([]byte(`{"record":[{"what":"mix","storage":"bad"}]}`), "op"); !errors.As(err, &refused) {
			t.Errorf("a storage that takes nothing: %v", err)
		}
		if err := c.Patch([]byte(`{"record":[{"what":"mix","format":"wav","segmentSeconds":10},{"what":"streams","storage":"far"}]}`), "op"); err != nil {
			t.Fatal(err)
		}
		if r := c.Retention(); r.Locks["far"] != storage.Compliance || r.Locks[capture.LocalStorage] != storage.Compliance || r.Locks["bad"] != storage.Unlocked {
			t.Errorf("retention %+v", r)
		}
		if all := c.Places(); !slices.Contains(all, "far") || slices.Contains(all, "bad") {
			t.Errorf("places %v", all)
		}
		secret := h.start("c2", h.owner(newCustomer(t)))
		var spec *capture.SpecError
		err := secret.Patch([]byte(`{"record":[{"what":"mix","storage":"far"}]}`), "op")
		if !errors.As(err, &spec) || !strings.Contains(err.Error(), "its keys are not there") {
			t.Errorf("a storage for an encrypted capture: %v", err)
		}
	})
}
