package retention

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"mixdown/audit"
	"mixdown/events"
	"mixdown/storage"
)

// order is who wants a recording disposed of, and why.
type order struct {
	cause  Cause
	by     string
	reason string
}

// Dispose disposes of a recording because somebody asks for it. A *Refusal says
// why it may not go now. Another error comes from a storage: if the disposal
// has begun by then, which Standing tells, Run carries it to its end.
func (k *Keeper) Dispose(ctx context.Context, id, by, reason string) (Certificate, error) {
	return k.dispose(ctx, id, order{Requested, by, reason})
}

// dispose decides, plans and carries out. From the plan on there is no way
// back, only a hold that stops what is still to be done.
func (k *Keeper) dispose(ctx context.Context, id string, o order) (c Certificate, err error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return c, ctx.Err()
	}
	if k.planned(id) {
		return k.carryOut(ctx, id)
	}
	r, ok := k.config.Recordings.Get(id)
	if !ok {
		return c, k.absent(id)
	}
	if err := k.may(r, o); err != nil {
		return c, err
	}
	act, err := k.config.Audit.Begin(ctx, "dispose", id)
	if err != nil {
		return c, err
	}
	defer func() { k.end(act, err) }()
	act.Note("cause", o.cause)
	plan, err := k.survey(ctx, r, o)
	if err != nil {
		return c, err
	}
	if err := k.begin(r, o, plan); err != nil {
		return c, err
	}
	return k.carryOut(ctx, id)
}

// resume carries on with a disposal that was cut short.
func (k *Keeper) resume(ctx context.Context, id string) (err error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !k.planned(id) {
		return nil // somebody else did
	}
	act, err := k.config.Audit.Begin(ctx, "dispose", id)
	if err != nil {
		return err
	}
	act.Note("resumed", true)
	defer func() { k.end(act, err) }()
	_, err = k.carryOut(ctx, id)
	return err
}

// end says in the audit log how a disposal ended, for now.
func (k *Keeper) end(act *audit.Act, err error) {
	outcome := audit.OK
	var refused *Refusal
	switch {
	case errors.As(err, &refused):
		outcome = string(refused.Code)
	case err != nil:
		outcome = "failed"
		act.Note("error", err.Error())
	}
	if err := act.End(outcome, 0); err != nil {
		k.config.Log.Error("the end of a disposal is not in the audit log", "err", err)
	}
}

func (k *Keeper) planned(id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, begun := k.plans[id]
	return begun
}

// may refuses what keeps a recording: it runs, a hold, its retention, uploads
// that would put it there again.
func (k *Keeper) may(r Recording, o order) error {
	if r.End.IsZero() {
		return refuse(Running, "recording %s still runs; stop its capture first", r.ID)
	}
	if err := k.WhileFree(r, func() error { return nil }); err != nil {
		return err
	}
	k.mu.Lock()
	over, extended := k.untilLocked(r), k.states[r.ID].Until
	k.mu.Unlock()
	early := r.Policy != nil && r.Policy.Early && o.cause == Requested && extended.IsZero()
	if time.Now().Before(over) && !early {
		e := refuse(NotOver, "recording %s is to be kept until %s", r.ID, storage.At(over))
		e.Until = over
		return e
	}
	for _, name := range r.Storages {
		if n, _ := k.config.Pending(name, r.Base+"/"); n > 0 {
			return refuse(Uploading, "%d files of recording %s still wait for storage %s", n, r.ID, name)
		}
	}
	return nil
}

// begin writes the plan down, unless something keeps the recording by now.
func (k *Keeper) begin(r Recording, o order, plan Certificate) error {
	if err := k.step("plan"); err != nil {
		return err
	}
	if err := k.may(r, o); err != nil {
		return err
	}
	return k.WhileFree(r, func() error {
		k.mu.Lock()
		defer k.mu.Unlock()
		if over := k.untilLocked(r); over.After(time.Now()) && (plan.KeptUntil == nil || over.After(plan.KeptUntil.Time)) {
			return refuse(NotOver, "recording %s was extended to %s", r.ID, storage.At(over))
		}
		if err := writeJSON(k.disposalFile(r.ID, planExt), plan); err != nil {
			return fmt.Errorf("plan the disposal of %s: %w", r.ID, err)
		}
		k.plans[r.ID] = plan
		return nil
	})
}

// step is where tests let the process die.
func (k *Keeper) step(name string) error {
	if k.config.fault == nil {
		return nil
	}
	return k.config.fault(name)
}

// survey lists everything of a recording with its hash. It changes nothing. A
// lock refuses.
func (k *Keeper) survey(ctx context.Context, r Recording, o order) (Certificate, error) {
	plan := Certificate{
		Format: CertificateFormat, ID: r.ID, Room: r.Room, Users: append([]string{}, r.Users...), Labels: r.Labels,
		Start: storage.At(r.Start), End: storage.At(r.End), Retention: r.Policy,
		Cause: o.cause, By: o.by, Reason: o.reason, Begun: storage.At(time.Now()),
		Storages: slices.Sorted(slices.Values(r.Storages)), Objects: []Object{}, Audit: k.config.Audit.Head(),
	}
	if plan.Labels == nil {
		plan.Labels = map[string]string{}
	}
	if over := k.until(r); !over.IsZero() {
		at := storage.At(over)
		plan.KeptUntil = &at
	}
	for _, name := range plan.Storages {
		found, err := k.search(ctx, r, name)
		if err != nil {
			return plan, fmt.Errorf("dispose of %s: %w", r.ID, err)
		}
		plan.Objects = append(plan.Objects, found...)
		if plan.Head == "" {
			plan.Head = k.head(ctx, r, name)
		}
	}
	return plan, nil
}

// search lists a recording's objects in one storage, in the order in which
// they go: what says that there is a recording goes last.
func (k *Keeper) search(ctx context.Context, r Recording, name string) ([]Object, error) {
	bucket := k.config.Storages[name]
	if bucket == nil {
		return nil, fmt.Errorf("storage %s is not configured any more; it may hold a part of the recording", name)
	}
	var found []Object
	for listed, err := range bucket.List(ctx, r.Base+"/") {
		if err == nil {
			err = k.limiter.Wait(ctx)
		}
		if err == nil {
			err = k.lockedUntil(ctx, bucket, r, listed.Key)
		}
		var o storage.Object
		if err == nil {
			o, err = stat(ctx, bucket, listed.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("storage %s: %w", name, err)
		}
		found = append(found, Object{name, o.Key, o.Size, hex.EncodeToString(o.SHA256[:])})
	}
	slices.SortFunc(found, func(a, b Object) int {
		return cmp.Or(cmp.Compare(late(a.Key), late(b.Key)), strings.Compare(a.Key, b.Key))
	})
	return found, nil
}

func late(key string) int {
	if path.Base(key) == storage.ManifestName || path.Base(key) == storage.SignatureName {
		return 1
	}
	return 0
}

// lockedUntil refuses if an object is locked.
func (k *Keeper) lockedUntil(ctx context.Context, bucket Storage, r Recording, key string) error {
	locker, ok := bucket.(storage.Locker)
	if !ok {
		return nil
	}
	l, err := locker.Lock(ctx, key)
	if err != nil || !time.Now().Before(l.Until) {
		return err
	}
	e := refuse(Locked, "recording %s is locked in its storage: %s, %s", r.ID, key, l)
	e.Until = l.Until
	return e
}

// stat describes an object with its hash, which is read from the object where
// the storage does not know it.
func stat(ctx context.Context, bucket Storage, key string) (storage.Object, error) {
	o, err := bucket.Stat(ctx, key)
	if err != nil || o.SHA256 != [32]byte{} {
		return o, err
	}
	f, o, err := bucket.Open(ctx, key)
	if err != nil {
		return o, err
	}
	defer f.Close()
	h := sha256.New()
	o.Size, err = io.Copy(h, f)
	o.SHA256 = [32]byte(h.Sum(nil))
	return o, err
}

// head is the head of the chain that the recording was sealed with; "" if it
// was not, or its manifest cannot be read: then the hashes have to do.
func (k *Keeper) head(ctx context.Context, r Recording, name string) string {
	f, _, err := k.config.Storages[name].Open(ctx, path.Join(r.Base, storage.ManifestName))
	if err != nil {
		return ""
	}
	defer f.Close()
	raw, err := io.ReadAll(f)
	if err != nil {
		return ""
	}
	m, err := storage.DecodeManifest(raw)
	if err != nil || m.Sealed == nil {
		return ""
	}
	return m.Sealed.Head
}

// carryOut deletes what is planned, as often as it takes: what is gone already
// is no error. Each object is asked for again whether a hold keeps it.
func (k *Keeper) carryOut(ctx context.Context, id string) (Certificate, error) {
	k.mu.Lock()
	plan := k.plans[id]
	k.mu.Unlock()
	r := plan.recording()
	for _, o := range plan.Objects {
		if err := k.limiter.Wait(ctx); err != nil {
			return plan, err
		}
		if err := k.step("delete"); err != nil {
			return plan, err
		}
		bucket := k.config.Storages[o.Storage]
		if bucket == nil {
			return plan, fmt.Errorf("dispose of %s: storage %s is not configured any more", id, o.Storage)
		}
		if err := k.WhileFree(r, func() error { return bucket.Delete(ctx, o.Key) }); err != nil {
			return plan, fmt.Errorf("dispose of %s: %w", id, err)
		}
	}
	for _, name := range plan.Storages {
		if err := k.emptied(ctx, r, name); err != nil {
			return plan, err
		}
	}
	return k.finish(plan, r)
}

// emptied says that nothing of a recording is left in a storage. What came in
// between is added to the plan.
func (k *Keeper) emptied(ctx context.Context, r Recording, name string) error {
	left, err := k.search(ctx, r, name)
	if err != nil || len(left) == 0 {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	plan := k.plans[r.ID]
	plan.Objects = append(slices.Clone(plan.Objects), left...)
	if err := writeJSON(k.disposalFile(r.ID, planExt), plan); err != nil {
		return fmt.Errorf("plan the disposal of %s: %w", r.ID, err)
	}
	k.plans[r.ID] = plan
	return fmt.Errorf("dispose of %s: %d objects came into storage %s meanwhile; they go with the next try", r.ID, len(left), name)
}

// finish writes the certificate and forgets the recording. The plan goes last:
// until then every step is taken again after a crash.
func (k *Keeper) finish(plan Certificate, r Recording) (Certificate, error) {
	plan.At = storage.At(time.Now())
	if err := k.step("certify"); err != nil {
		return plan, err
	}
	c, encoded, signature, err := k.certify(plan)
	if err != nil {
		return plan, err
	}
	for _, do := range []struct {
		name string
		step func() error
	}{
		{"put", func() error { return k.config.Put(r.Base+DisposedExt, encoded, c.Storages) }},
		{"put", func() error { return k.config.Put(r.Base+DisposedExt+signatureExt, signature, c.Storages) }},
		{"forget", func() error { return k.config.Recordings.Forget(r.ID) }},
		{"state", func() error { return removeFile(k.stateFile(r.ID)) }},
		{"publish", func() error { k.told(r, c); return nil }},
		{"done", func() error { return removeFile(k.disposalFile(r.ID, planExt)) }},
	} {
		err := k.step(do.name)
		if err == nil {
			err = do.step()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return c, fmt.Errorf("end the disposal of %s: %w", r.ID, err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.plans, r.ID)
	delete(k.states, r.ID)
	k.gone[r.ID] = true
	k.config.Log.Info("recording disposed of", "recording", r.ID, "objects", len(c.Objects), "cause", c.Cause, "by", c.By)
	return c, nil
}

// told tells of a disposal, once, however often it is called.
func (k *Keeper) told(r Recording, c Certificate) {
	k.config.Events.Publish(events.Event{
		Type: "recording.disposed", Capture: r.ID, Room: r.Room.RoomID, Series: "recording.disposed", Number: 1,
		Data: map[string]any{"recordingID": r.ID, "at": c.At, "cause": c.Cause, "by": c.By, "reason": c.Reason, "objects": len(c.Objects)},
	})
}
