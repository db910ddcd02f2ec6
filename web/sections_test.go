package web_test

import (
	"testing"
)

// TestSectionsAreUsedAgain: a browser hears the streams that come to media
// sections which stayed free for some offers.
func TestSectionsAreUsedAgain(t *testing.T) {
	d := start(t)
	ann := d.caller("ann", 500)
	for _, user := range []string{"bob", "cid", "dan"} {
		ann.do(`(async () => {
			const other = engine();
			await other.loginRoom(%s, %s, {userID: %s, userName: ''});
			await other.createPusher(raw).start(%s);
		})()`, roomID, d.token(user), user, user+"-tone")
	}
	ann.login()
	streams := []string{"bob-tone", "cid-tone", "dan-tone"}
	for _, id := range streams {
		ann.do(`zg.getPlayerInstance(%s).play()`, id)
		ann.await(id + " PLAYING 0")
	}
	for _, id := range streams {
		ann.do(`zg.getPlayerInstance(%s).stop()`, id)
		ann.await(id + " NO_PLAY 0")
	}
	for _, id := range []string{"dan-tone", "bob-tone", "cid-tone"} {
		ann.do(`zg.log.length = 0`)
		ann.do(`zg.getPlayerInstance(%s).play()`, id)
		ann.await(id + " PLAYING 0")
		ann.hears(id, 500)
	}
}
