// Package template lays the user's patch over a pod template, and keeps a template for as long as the user's wishes are
// the same. Pure functions.
package template
