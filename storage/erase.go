package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"time"
)

// Place is a storage that holds a recording, with all that erasing needs.
type Place interface {
	Bucket
	Browser
	Deleter
}

// Errors of an [Erasure].
var (
	ErrInTheClear = errors.New("the recording is not encrypted: there is no key to destroy, and deleting its files would break its seal; dispose of the whole recording instead")
	ErrNotSealed  = errors.New("the recording is not sealed yet")

	// ErrNotErased says that a storage did not answer before the first key went.
	// Erasing again does what is left.
	ErrNotErased = errors.New("a storage does not answer, no key was destroyed: erase again")

	// ErrNotDestroyed says that a key is still in a storage. Erasing again
	// tries again.
	ErrNotDestroyed = errors.New("a key is not destroyed yet: erase again")
)

// Erasure takes what a user said out of a sealed recording: the keys of the
// user's streams are destroyed in every storage, and those of the mixes, which
// hold the voice too. All hashes, the chain and the signatures stay true; a
// signed [Amendment] says what was done.
type Erasure struct {
	Places   map[string]Place // by name: every storage that may hold a part of it
	Base     string           // the recording's folder in each
	Key      *Key             // signs the amendment
	UserID   string
	StreamID string // "": all of the user's
	By       string
	Reason   string

	// Remix makes the mixes anew from what is left when the keys in gone are,
	// stores their files by put, which takes them by their name in the
	// recording, and adds them to the amendment. Nil leaves the recording
	// without a mix, until somebody who can read it repeats the erasure.
	Remix func(r *SealedRecording, gone []KeyFile, a *Amendment, put func(name string, data []byte) error) error
	// Guard runs what cannot be undone, unless it must not be done now: a remix
	// may have taken long. Nil runs it.
	Guard func(destroy func() error) error
}

// Run erases. What was done before is completed, so that after an error it can
// be repeated; the amendment is written before the first key goes.
func (e Erasure) Run(ctx context.Context) (r *SealedRecording, err error) {
	r, places, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	gone, err := e.choose(ctx, r, places)
	if err != nil {
		return nil, err
	}
	a := r.Next(At(time.Now()), e.By, e.Reason)
	a.Erased = gone
	var stored []string
	amended := false
	defer func() {
		if !amended { // nothing names these files: with them the recording would be broken
			err = errors.Join(err, e.remove(context.WithoutCancel(ctx), places, stored))
		}
	}()
	if e.Remix != nil && !r.mixedWithout(gone) {
		err := e.Remix(r, gone, &a, func(name string, data []byte) error {
			stored = append(stored, name)
			return e.put(ctx, places, name, data)
		})
		if err != nil {
			return nil, fmt.Errorf("mix recording %s again: %w", r.Manifest.ID, err)
		}
	}
	destroy := func() error {
		amended = true
		return e.finish(ctx, r, places, a)
	}
	if e.Guard != nil {
		err = e.Guard(destroy)
	} else {
		err = destroy()
	}
	return r, err
}

// put stores a file of the recording wherever the recording is.
func (e Erasure) put(ctx context.Context, places []string, name string, data []byte) error {
	for _, p := range places {
		if err := PutBytes(ctx, e.Places[p], e.Base+"/"+name, data); err != nil {
			return fmt.Errorf("storage %s: %w", p, err)
		}
	}
	return nil
}

// remove takes away what put stored.
func (e Erasure) remove(ctx context.Context, places, stored []string) error {
	var errs []error
	for _, p := range places {
		for _, name := range stored {
			if err := e.Places[p].Delete(ctx, e.Base+"/"+name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("storage %s: a file of the mix that was made anew is left: erase again: %w", p, err))
			}
		}
	}
	return errors.Join(errs...)
}

// finish writes the amendment wherever the recording is, then destroys the keys.
func (e Erasure) finish(ctx context.Context, r *SealedRecording, places []string, a Amendment) error {
	if len(a.Erased)+len(a.Segments) > 0 {
		text, sig, err := a.seal(e.Key)
		if err == nil {
			err = r.add(text, sig)
		}
		if err != nil {
			return fmt.Errorf("amend recording %s: %w", r.Manifest.ID, err)
		}
	}
	if err := e.write(ctx, r, places); err != nil {
		return err
	}
	return e.destroy(ctx, r)
}

// read reads the recording where it is, and of its amendments as many as are
// found in any place.
func (e Erasure) read(ctx context.Context) (newest *SealedRecording, names []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(e.Places)) {
		r, err := ReadRecording(ctx, e.Places[name], e.Base)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("storage %s: %w: %w", name, ErrNotErased, err)
		}
		names = append(names, name)
		if newest == nil || len(r.texts) > len(newest.texts) {
			newest = r
		}
	}
	switch {
	case newest == nil:
		return nil, nil, fmt.Errorf("recording %s: %w", e.Base, fs.ErrNotExist)
	case newest.Manifest.Sealed == nil:
		return nil, nil, fmt.Errorf("recording %s: %w", newest.Manifest.ID, ErrNotSealed)
	case newest.Manifest.Encryption == nil:
		return nil, nil, fmt.Errorf("recording %s: %w", newest.Manifest.ID, ErrInTheClear)
	}
	return newest, names, nil
}

// choose finds the keys that are to go now. A lock on one of them in any place
// keeps all.
func (e Erasure) choose(ctx context.Context, r *SealedRecording, places []string) (gone []KeyFile, err error) {
	known := false
	for _, k := range r.Manifest.Encryption.Keys {
		if k.Of != KeyOfStream || k.UserID != e.UserID || e.StreamID != "" && k.StreamID != e.StreamID {
			continue
		}
		known = true
		if _, before := r.Erased(k.Path); !before {
			gone = append(gone, k)
		}
	}
	if !known {
		return nil, fmt.Errorf("recording %s has no stream %s of user %q: %w", r.Manifest.ID, e.StreamID, e.UserID, fs.ErrNotExist)
	}
	if len(gone) == 0 {
		return nil, nil
	}
	for _, k := range r.Keys() {
		if k.Of == KeyOfMix {
			gone = append(gone, k)
		}
	}
	for _, name := range places {
		locker, ok := e.Places[name].(Locker)
		for _, k := range gone {
			if !ok {
				break
			}
			l, err := locker.Lock(ctx, e.Base+"/"+k.Path)
			if err == nil && time.Now().Before(l.Until) {
				return nil, fmt.Errorf("%s in storage %s, %s: %w", k.Path, name, l, ErrLocked)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("storage %s: %w: %w", name, ErrNotErased, err)
			}
		}
	}
	return gone, nil
}

// mixedWithout says that when these keys are gone there is still a mix, or
// never was one.
func (r *SealedRecording) mixedWithout(gone []KeyFile) bool {
	for _, k := range r.Keys() {
		if k.Of == KeyOfMix && !slices.ContainsFunc(gone, func(g KeyFile) bool { return g.Path == k.Path }) {
			return true
		}
	}
	return !slices.ContainsFunc(r.Manifest.Outputs, func(o Output) bool { return o.What == "mix" })
}

// write stores every amendment in every place.
func (e Erasure) write(ctx context.Context, r *SealedRecording, places []string) error {
	for _, name := range places {
		for i, text := range r.texts {
			file := e.Base + "/" + AmendmentName(i+1)
			err := PutBytes(ctx, e.Places[name], file, text)
			if err == nil && r.signatures[i] != nil {
				err = PutBytes(ctx, e.Places[name], file+".sig", r.signatures[i])
			}
			if err != nil {
				return fmt.Errorf("storage %s: %w: %w", name, ErrNotErased, err)
			}
		}
	}
	return nil
}

// destroy deletes the key files that the amendments call destroyed, also
// where the recording itself is not: a key may be where it was once meant to
// go.
func (e Erasure) destroy(ctx context.Context, r *SealedRecording) error {
	var errs []error
	for name, place := range e.Places {
		for _, a := range r.Amendments {
			for _, k := range a.Erased {
				if err := place.Delete(ctx, e.Base+"/"+k.Path); err != nil {
					errs = append(errs, fmt.Errorf("storage %s: %w: %w", name, ErrNotDestroyed, err))
				}
			}
		}
	}
	return errors.Join(errs...)
}

// PutBytes stores a small object that may replace another.
func PutBytes(ctx context.Context, b Bucket, key string, data []byte) error {
	return b.Put(ctx, key, bytes.NewReader(data), PutOptions{
		Size: int64(len(data)), SHA256: sha256.Sum256(data), ContentType: ContentType(key), Replace: true,
	})
}

// Append adds a segment as [Manifest.Append] does; the chain goes on.
func (a *Amendment) Append(s Segment, sealed Sealed) error {
	m := Manifest{Segments: []Segment{{Chain: a.Head}}}
	if err := m.Append(s, sealed); err != nil {
		return err
	}
	a.Segments, a.Head = append(a.Segments, m.Segments[1]), m.Head()
	return nil
}
