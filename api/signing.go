package api

import (
	"context"
	"net/http"

	"mixdown/storage"
)

type signingKeys struct {
	Body struct {
		Keys []signingKey `json:"keys"`
	}
}

// signingKey is a public key that recordings are, or were, signed with.
type signingKey struct {
	KeyID     string `json:"keyID" doc:"As sealed.keyID of manifests: name+hash."`
	PublicKey string `json:"publicKey" doc:"name+hash+base64, a line of the file that mixdown verify --public-key takes."`
	Current   bool   `json:"current" doc:"Signs what is sealed now."`
}

func (s *server) signingKeyRoutes() {
	register(s, http.MethodGet, "/v1/keys", "list-signing-keys", "The public keys of recordings' signatures, the present one first", s.listSigningKeys)
}

func (s *server) listSigningKeys(context.Context, *struct{}) (*signingKeys, error) {
	out := &signingKeys{}
	out.Body.Keys = []signingKey{}
	for i, public := range s.PublicKeys() {
		id, err := storage.PublicKeyID(public)
		if err != nil {
			return nil, problemOf(err)
		}
		out.Body.Keys = append(out.Body.Keys, signingKey{id, public, i == 0})
	}
	return out, nil
}
