// Package page serves the chat page: HTML, CSS and JavaScript modules, written by hand and embedded as they are.
//
// The page needs no key, only what it asks of the API does. It comes with a policy that lets a browser run, draw and
// call nothing but what this server sends: no inline scripts, no other hosts, no HTML made from strings. Its files lie
// under a path that names their digest, so that browsers keep them for good and a new version is seen at once.
package page
