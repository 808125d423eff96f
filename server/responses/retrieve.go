package responses

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/gptoss/gptoss-operator/server/openai"
)

// Retrieve answers GET /v1/responses/{id}, as a stream if asked for.
func (a *API) Retrieve(w http.ResponseWriter, r *http.Request) error {
	k := a.keyOf(r)
	j, rec := a.find(k)
	if j == nil && rec == nil {
		return notFound(k.id)
	}
	query, err := readQuery(r)
	if err != nil {
		return err
	}
	if query.stream {
		f := a.feedOf(j, rec)
		if f == nil {
			return openai.Invalid(openai.CodeInvalidValue, "stream", "Invalid value for 'stream': only responses that were created with background and stream can be streamed later.")
		}
		a.config.Ended(r, Outcome{ID: k.id, Err: f.follow(r.Context(), w, query.after+1)})
		return nil
	}
	var response Response
	if j != nil {
		response = j.snapshot()
	} else {
		response = rec.response
	}
	if query.encrypted {
		response.Output = withSealed(response.Output)
	}
	writeJSON(w, response)
	return nil
}

func (a *API) feedOf(j *job, r *record) *feed {
	if j != nil {
		return j.feed
	}
	return r.feed
}

// Cancel answers POST /v1/responses/{id}/cancel. A background response that has ended already stays as it is.
func (a *API) Cancel(w http.ResponseWriter, r *http.Request) error {
	k := a.keyOf(r)
	j, rec := a.find(k)
	switch {
	case j != nil:
		if err := j.stop(r.Context()); err != nil {
			return err
		}
		writeJSON(w, j.snapshot())
	case rec == nil:
		return notFound(k.id)
	case !rec.response.Background:
		return openai.Invalid(openai.CodeInvalidValue, "", "Only responses that were created with background can be cancelled; to end another, close its connection.")
	default:
		writeJSON(w, rec.response)
	}
	return nil
}

// Delete answers DELETE /v1/responses/{id}. One that is under way is cancelled first.
func (a *API) Delete(w http.ResponseWriter, r *http.Request) error {
	k := a.keyOf(r)
	j, _ := a.find(k)
	if j != nil {
		if err := j.stop(r.Context()); err != nil {
			return err
		}
	}
	if !a.store.remove(k.tenant, k.id) && j == nil {
		return notFound(k.id)
	}
	writeJSON(w, Deleted{ID: k.id, Object: "response", Deleted: true})
	return nil
}

// InputItems answers GET /v1/responses/{id}/input_items with the items that the response was made from, those of the
// conversation before it included.
func (a *API) InputItems(w http.ResponseWriter, r *http.Request) error {
	k := a.keyOf(r)
	j, rec := a.find(k)
	var l *link
	switch {
	case j != nil:
		l = j.link
	case rec != nil:
		l = rec.link
	default:
		return notFound(k.id)
	}
	query, err := readQuery(r)
	if err != nil {
		return err
	}
	page, err := query.page(append(l.before.turns(), l.input...))
	if err != nil {
		return err
	}
	writeJSON(w, page)
	return nil
}

func (a *API) keyOf(r *http.Request) key { return key{a.config.Tenant(r), r.PathValue("id")} }

func notFound(id string) error {
	return openai.NewError(http.StatusNotFound, openai.TypeNotFound, openai.CodeNotFound, "",
		fmt.Sprintf("Response with id %q not found: it does not exist, was not stored, or is kept no longer.", clip(id)))
}

// query are the parameters of the requests without a body.
type query struct {
	stream    bool
	encrypted bool
	after     int // the number of the last event that the client has, -1 for none
	limit     int
	ascending bool
	afterItem string
}

func readQuery(r *http.Request) (query, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return query{}, openai.Invalid(openai.CodeInvalidValue, "", "The query of the URL is malformed.")
	}
	q := query{afterItem: values.Get("after"), ascending: values.Get("order") == "asc", after: -1, limit: 20}
	for _, name := range slices.Concat(values["include"], values["include[]"]) {
		if !slices.Contains(includable, name) {
			return q, openai.Invalid(openai.CodeInvalidValue, "include", "Invalid value for 'include': %q is not known.", clip(name))
		}
		q.encrypted = q.encrypted || name == includable[0]
	}
	if text := values.Get("stream"); text != "" {
		q.stream, err = strconv.ParseBool(text)
	}
	if err != nil {
		return q, openai.Invalid(openai.CodeInvalidType, "stream", "Invalid type for 'stream': expected true or false.")
	}
	if order := values.Get("order"); order != "" && order != "asc" && order != "desc" {
		return q, openai.Invalid(openai.CodeInvalidValue, "order", "Invalid value for 'order': must be asc or desc.")
	}
	return q, errors.Join(
		number(values, "starting_after", 0, math.MaxInt32, &q.after),
		number(values, "limit", 1, 100, &q.limit),
	)
}

// number reads a parameter, if it is there.
func number(values url.Values, name string, low, high int, into *int) error {
	text := values.Get(name)
	if text == "" {
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return openai.Invalid(openai.CodeInvalidValue, name, "Invalid value for '%s': must be an integer from %d to %d.", name, low, high)
	}
	*into = n
	return nil
}

// page cuts out the part of the items that was asked for.
func (q query) page(items []Item) (ItemList, error) {
	if !q.ascending {
		slices.Reverse(items)
	}
	if q.afterItem != "" {
		at := slices.IndexFunc(items, func(i Item) bool { return i.ID == q.afterItem })
		if at < 0 {
			return ItemList{}, openai.Invalid(openai.CodeInvalidValue, "after", "Invalid value for 'after': there is no item %q.", clip(q.afterItem))
		}
		items = items[at+1:]
	}
	page := ItemList{Object: "list", Data: notNull(items), HasMore: len(items) > q.limit}
	if page.HasMore {
		page.Data = items[:q.limit]
	}
	if n := len(page.Data); n > 0 {
		page.FirstID, page.LastID = &page.Data[0].ID, &page.Data[n-1].ID
	}
	if q.encrypted {
		page.Data = withSealed(page.Data)
	}
	return page, nil
}

// withSealed adds the replayable form of the reasoning.
func withSealed(items []Item) []Item {
	items = slices.Clone(items)
	for n := range items {
		if items[n].Type == typeReasoning {
			items[n].Encrypted = seal(items[n].text())
		}
	}
	return items
}
