package platform

var (
	AppWindow = appWindow
	FileURL   = fileURL
)
