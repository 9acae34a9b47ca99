// Answers with the status that the path names; 200 unless it names one.

export default {
  fetch(request) {
    const status = Number(new URL(request.url).pathname.slice(1)) || 200;
    return new Response("hello", { status });
  },
};
