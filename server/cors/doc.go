// Package cors lets web pages of chosen origins call the API, and sends the headers that keep browsers from guessing.
package cors
