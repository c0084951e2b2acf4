package icon

// tray is a place on the desktop for the icon and its menu.
type tray interface {
	// run shows it, on the main goroutine, until quit. Ready is called once it can be set; it
	// must not block.
	run(ready func())
	// set changes what is shown. An error says that the tray has gone.
	set(view) error
	// forget has the next set change everything, for some of it may have been lost.
	forget()
	// acts gives what was chosen in the menu, if it can be chosen.
	acts() <-chan act
	quit()
}
