// cpp-httplib: a pool of 64 threads, each of which blocks on one connection; the port is its argument.
#include <httplib.h>

#include <cstdlib>
#include <limits>

int main(int, char** argv) {
  httplib::Server server;
  server.new_task_queue = [] { return new httplib::ThreadPool(64); };
  server.set_keep_alive_max_count(std::numeric_limits<int>::max());
  server.set_tcp_nodelay(true);
  server.Get("/", [](const httplib::Request&, httplib::Response& response) {
    response.set_content("Hello, world!", "text/plain;charset=UTF-8");
  });
  return server.listen("127.0.0.1", std::atoi(argv[1])) ? 0 : 1;
}
