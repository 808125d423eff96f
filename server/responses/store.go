package responses

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// Bounds limit what is remembered. Zero values remember nothing.
type Bounds struct {
	// Count is how many responses are kept.
	Count int
	// Bytes is about how much memory they take, shared conversations counted once.
	Bytes int64
	// Age is how long a response is kept after it ended.
	Age time.Duration
}

// store keeps finished responses. When it is full, the oldest response of the tenant that takes the most memory goes, so
// that one tenant's flood does not wash away what the others have.
type store struct {
	bounds Bounds
	now    func() time.Time

	mu      sync.Mutex
	shelves map[string]*shelf // by tenant
	count   int
	bytes   int64
}

// shelf is what a tenant has.
type shelf struct {
	responses map[string]*list.Element // of *record, by id
	items     map[string]Item          // output items by id, for references to them
	order     *list.List               // oldest first
	bytes     int64
}

// record is a stored response. It does not change.
type record struct {
	response Response
	// link is the conversation up to and with this response.
	link *link
	// feed has the events, nil where they cannot be asked for.
	feed  *feed
	ended time.Time
	own   int64 // bytes beside the conversation's
}

// link is one response's part of a conversation. Parts that later responses go on with live as long as those do.
type link struct {
	before *link
	input  []Item
	output []Item
	bytes  int64
	users  int // records and links that hold it
}

func newStore(b Bounds, now func() time.Time) *store {
	return &store{bounds: b, now: now, shelves: map[string]*shelf{}}
}

// Memory that a record takes beside its texts.
const recordOverhead = 1024

// put keeps a response, or does not where it is larger than everything that may be kept.
func (s *store) put(tenant string, r *record) {
	r.own = recordOverhead + r.response.size()
	if r.feed != nil {
		r.own += r.feed.size()
	}
	r.link.bytes = 0
	for _, items := range [][]Item{r.link.input, r.link.output} {
		for _, i := range items {
			r.link.bytes += i.size()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for other := range s.shelves {
		s.expire(other)
	}
	if s.bounds.Count < 1 || r.own+r.link.bytes > s.bounds.Bytes {
		return
	}
	r.ended = s.now()
	shelf := s.shelves[tenant]
	if shelf == nil {
		shelf = newShelf()
		s.shelves[tenant] = shelf
	}
	shelf.responses[r.response.ID] = shelf.order.PushBack(r)
	for _, i := range r.response.Output {
		shelf.items[i.ID] = i
	}
	s.count++
	s.charge(shelf, r.own)
	s.hold(shelf, r.link)
	for s.count > s.bounds.Count || s.bytes > s.bounds.Bytes {
		tenant, largest := s.largest()
		s.drop(tenant, largest, largest.order.Front())
	}
}

func newShelf() *shelf {
	return &shelf{responses: map[string]*list.Element{}, items: map[string]Item{}, order: list.New()}
}

func (s *store) charge(shelf *shelf, n int64) {
	s.bytes += n
	shelf.bytes += n
}

// hold takes a part of a conversation into account when its first user comes, and with it what comes before.
func (s *store) hold(shelf *shelf, l *link) {
	for ; l != nil; l = l.before {
		l.users++
		if l.users > 1 {
			return
		}
		s.charge(shelf, l.bytes)
	}
}

// release undoes hold.
func (s *store) release(shelf *shelf, l *link) {
	for ; l != nil; l = l.before {
		l.users--
		if l.users > 0 {
			return
		}
		s.charge(shelf, -l.bytes)
	}
}

// largest finds the tenant with the most memory, or of equal ones the one with the most responses.
func (s *store) largest() (string, *shelf) {
	var name string
	var most *shelf
	for tenant, shelf := range s.shelves {
		if most == nil || shelf.bytes > most.bytes || shelf.bytes == most.bytes && shelf.order.Len() > most.order.Len() {
			name, most = tenant, shelf
		}
	}
	return name, most
}

func (s *store) drop(tenant string, shelf *shelf, e *list.Element) {
	r := shelf.order.Remove(e).(*record)
	delete(shelf.responses, r.response.ID)
	for _, i := range r.response.Output {
		delete(shelf.items, i.ID)
	}
	s.count--
	s.charge(shelf, -r.own)
	s.release(shelf, r.link)
	if shelf.order.Len() == 0 {
		delete(s.shelves, tenant)
	}
}

// expire drops what a tenant has kept for too long.
func (s *store) expire(tenant string) {
	shelf := s.shelves[tenant]
	if shelf == nil {
		return
	}
	now := s.now()
	for e := shelf.order.Front(); e != nil && now.Sub(e.Value.(*record).ended) >= s.bounds.Age; e = shelf.order.Front() {
		s.drop(tenant, shelf, e)
	}
}

// get returns a tenant's response, or nil.
func (s *store) get(tenant, id string) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(tenant)
	if shelf := s.shelves[tenant]; shelf != nil {
		if e := shelf.responses[id]; e != nil {
			return e.Value.(*record)
		}
	}
	return nil
}

// item returns an output item of one of a tenant's responses.
func (s *store) item(tenant, id string) (Item, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(tenant)
	if shelf := s.shelves[tenant]; shelf != nil {
		i, ok := shelf.items[id]
		return i, ok
	}
	return Item{}, false
}

// remove forgets a response and reports whether there was one. Later responses of its conversation keep what they go on with.
func (s *store) remove(tenant, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(tenant)
	shelf := s.shelves[tenant]
	if shelf == nil || shelf.responses[id] == nil {
		return false
	}
	s.drop(tenant, shelf, shelf.responses[id])
	return true
}

// size is about how many bytes a response takes beside its output, which its link accounts for.
func (r *Response) size() int64 {
	n := len(r.Text.Format) + len(r.ToolChoice)
	for _, text := range []*string{r.Instructions, r.PreviousResponseID, r.PromptCacheKey, r.SafetyIdentifier, r.User} {
		if text != nil {
			n += len(*text)
		}
	}
	for key, value := range r.Metadata {
		n += itemOverhead + len(key) + len(value)
	}
	for _, t := range r.Tools {
		n += itemOverhead + len(t.Name) + len(t.Parameters)
		if t.Description != nil {
			n += len(*t.Description)
		}
	}
	return int64(n)
}

// turns lists the items of a conversation, from its beginning on.
func (l *link) turns() []Item {
	var links []*link
	for ; l != nil; l = l.before {
		links = append(links, l)
	}
	var out []Item
	for _, l := range slices.Backward(links) {
		out = append(append(out, l.input...), l.output...)
	}
	return out
}
